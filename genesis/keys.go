package genesis

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// keys are the objects of the file by their path, each with its keys.
var keys = map[string][]string{
	"":          {"version", "chain_id", "ordering", "admission", "coding", "limits"},
	"ordering":  {"type", "orderer"},
	"admission": {"type", "peers"},
	"limits":    {"max_tx_bytes", "max_body_bytes", "max_block_txs", "max_lifetime"},
}

// listKey is the one key that holds a list, of strings.
const listKey = "admission.peers"

// checkKeys refuses what encoding/json lets pass: unknown keys, keys given twice,
// keys in another case, nulls, values of another shape, and anything that follows the
// object.
func checkKeys(raw []byte) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	if err := checkValue(d, ""); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the closing brace")
	}
	return nil
}

func checkValue(d *json.Decoder, path string) error {
	tok, err := d.Token()
	if err != nil {
		return fmt.Errorf("reading JSON: %w", err)
	}
	_, wantObject := keys[path]
	switch tok {
	case json.Delim('{'):
		if !wantObject {
			return fmt.Errorf("key %q holds an object", path)
		}
		return checkObject(d, path)
	case json.Delim('['):
		if wantObject {
			return fmt.Errorf("%s is not an object", orWhole(path))
		}
		if path != listKey { // nor does the list hold lists, however deep
			return fmt.Errorf("%s holds a list", orWhole(path))
		}
		for d.More() {
			if err := checkValue(d, path+"[]"); err != nil {
				return err
			}
		}
		_, err := d.Token()
		return err
	case nil:
		return fmt.Errorf("key %q is null: give it a value or leave it out", path)
	}
	if wantObject {
		return fmt.Errorf("%s is not an object", orWhole(path))
	}
	return nil
}

func checkObject(d *json.Decoder, path string) error {
	seen := map[string]bool{}
	for d.More() {
		tok, err := d.Token()
		if err != nil {
			return fmt.Errorf("reading JSON: %w", err)
		}
		key, _ := tok.(string)
		full := strings.TrimPrefix(path+"."+key, ".")
		if seen[key] {
			return fmt.Errorf("key %q is given twice", full)
		}
		seen[key] = true
		if err := checkKey(key, full, keys[path]); err != nil {
			return err
		}
		if err := checkValue(d, full); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

func checkKey(key, full string, known []string) error {
	for _, k := range known {
		if k == key {
			return nil
		}
		if strings.EqualFold(k, key) {
			return fmt.Errorf("key %q is spelled %q", full, k)
		}
	}
	return fmt.Errorf("unknown key %q: want one of %s", full, strings.Join(known, ", "))
}

func orWhole(path string) string {
	if path == "" {
		return "the file"
	}
	return fmt.Sprintf("key %q", path)
}
