package scenario

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// checkKeys refuses a key that a scenario has not got, also one that differs in its
// case alone, which the decoder would let pass.
func checkKeys(raw map[string]any) error {
	return checkTable("", raw, reflect.TypeFor[Scenario]())
}

func checkTable(path string, table map[string]any, of reflect.Type) error {
	fields := fieldsOf(of)
	for _, key := range slices.Sorted(maps.Keys(table)) {
		field, ok := fields[key]
		if !ok {
			return fmt.Errorf("unknown key %q: %s", path+key, DidYouMean(key, slices.Sorted(maps.Keys(fields))))
		}
		if err := checkValue(path+key, table[key], field); err != nil {
			return err
		}
	}
	return nil
}

// checkValue looks for tables in a value; whether it fits otherwise, the decoder says.
func checkValue(path string, v any, of reflect.Type) error {
	if of.Kind() == reflect.Slice && of.Elem().Kind() == reflect.Struct {
		for i, t := range tables(v) {
			if err := checkTable(fmt.Sprintf("%s[%d].", path, i), t, of.Elem()); err != nil {
				return err
			}
		}
		return nil
	}
	if t, ok := v.(map[string]any); ok && of.Kind() == reflect.Struct {
		return checkTable(path+".", t, of)
	}
	return nil
}

// fieldsOf returns a table's keys with their types, those of embedded structs
// included.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("toml"), ","); name != "" && name != "-" {
			fields[name] = f.Type
		}
	}
	return fields
}

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
