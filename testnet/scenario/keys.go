package scenario

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"grapevine/internal/spelling"
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
			return fmt.Errorf("unknown key %q: %s", path+key, spelling.DidYouMean(key, slices.Sorted(maps.Keys(fields))))
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
