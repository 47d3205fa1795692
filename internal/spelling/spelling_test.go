package spelling

import "testing"

func TestDidYouMean(t *testing.T) {
	known := []string{"peers", "seed", "warm"}
	for word, want := range map[string]string{
		"pers":      `did you mean "peers"?`,
		"SEED":      `did you mean "seed"?`,
		"wrm":       `did you mean "warm"?`,
		"something": "want one of peers, seed, warm",
		"":          "want one of peers, seed, warm",
	} {
		if got := DidYouMean(word, known); got != want {
			t.Errorf("of %q: %s, want %s", word, got, want)
		}
	}
}
