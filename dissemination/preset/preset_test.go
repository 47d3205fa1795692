package preset

import (
	"reflect"
	"strings"
	"testing"
)

func TestOwnPresetIsTheDefaults(t *testing.T) {
	if p, err := Get(Grapevine); err != nil || !reflect.ValueOf(p).IsZero() {
		t.Errorf("%s is %+v, %v: want zero values", Grapevine, p, err)
	}
}

func TestEveryNameHasAPreset(t *testing.T) {
	seen := map[string]Preset{}
	for _, name := range Names() {
		p, err := Get(name)
		if err != nil {
			t.Fatal(err)
		}
		for other, q := range seen {
			if reflect.DeepEqual(p, q) {
				t.Errorf("%s and %s are the same", name, other)
			}
		}
		seen[name] = p
	}
}

func TestUnknownPresetNamesTheChoices(t *testing.T) {
	_, err := Get("Fabric")
	if err == nil || !strings.Contains(err.Error(), `"Fabric": want grapevine, fabric, fabric-enhanced`) {
		t.Errorf("error is %v", err)
	}
}
