package suggest

import (
	"fmt"
	"slices"
	"strings"
)

// DidYouMean returns the end of an error message about an unknown word: the most similar known
// word, if there is one, and the list of all known words.
func DidYouMean(word string, known []string) string {
	known = slices.Sorted(slices.Values(known))
	all := "known are " + strings.Join(known, ", ")
	if like := Closest(word, known); like != "" {
		return fmt.Sprintf("did you mean %s? (%s)", like, all)
	}
	return all
}

// Closest returns the known word with the smallest edit distance to word, or nothing if every one
// differs in more than a third of the letters of word.
func Closest(word string, known []string) string {
	best, least := "", max(len(word)/3, 1)+1
	for _, k := range known {
		if n := distance(word, k); n < least {
			best, least = k, n
		}
	}
	return best
}

// distance returns the edit distance of two words: how many letters have to be inserted, deleted,
// replaced or swapped with their neighbour.
func distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
