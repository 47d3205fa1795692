// Package spelling answers a word that nobody knows with the one that was probably meant:
// a misspelt key, flag or name is an error that says how to mend it.
package spelling

import (
	"fmt"
	"strings"
)

// DidYouMean names the word that is nearest to one that is not known, if any is near,
// and otherwise all.
func DidYouMean(word string, known []string) string {
	if near, ok := Nearest(word, known); ok {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "want one of " + strings.Join(known, ", ")
}

// Nearest returns the known word that was probably meant, if any is near.
func Nearest(word string, known []string) (near string, ok bool) {
	least := max(2, len(word)/3) + 1
	for _, k := range known {
		if d := distance(strings.ToLower(word), k); d < least {
			near, least, ok = k, d, true
		}
	}
	return near, ok
}

// distance is Levenshtein's: how many bytes to insert, remove or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
