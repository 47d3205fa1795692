package main

import (
	"errors"
	"strconv"
)

// fractionValue is a share of something.
type fractionValue struct{ to *float64 }

func (v fractionValue) String() string { return strconv.FormatFloat(*v.to, 'g', -1, 64) }
func (v fractionValue) Type() string   { return "share" }

func (v fractionValue) Set(s string) error {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= 0 && f <= 1) {
		return errors.New("want a number from 0 to 1")
	}
	*v.to = f
	return nil
}

// partValue is a share that leaves some.
type partValue struct{ fractionValue }

func (v partValue) Set(s string) error {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !(f >= 0 && f < 1) {
		return errors.New("want a number from 0 to less than 1")
	}
	*v.to = f
	return nil
}
