package snom

import "strings"

// Confidence says how well the facts about a model are known.
type Confidence uint8

const (
	Guessed  Confidence = iota // assumed for a model that isn't in the table
	Reported                   // from one source, or from several of which one disagrees
	Verified                   // independent sources agree
)

func (c Confidence) String() string {
	return [...]string{"guessed", "reported", "verified"}[c]
}

// DefaultKeys is the number of keys that a model not in the table is given.
const DefaultKeys = 12

// Model is a kind of phone.
type Model struct {
	// Name is how Snom writes the model, without "snom".
	Name string

	// Keys is the number of programmable keys with a lamp that are built in,
	// all pages counted.
	Keys int

	// KeysPerPage is the number of keys that exist as hardware where several
	// pages share them, else 0.
	KeysPerPage int

	// Colors are the colours that a key's lamp can have, the one that it has
	// by itself first. Empty if nothing is known of them; not to be changed.
	Colors []string

	// Confidence is about Keys.
	Confidence Confidence
}

var (
	orangeOnly = []string{"orange"}
	threeRed   = []string{"red", "green", "orange"}
)

// models is ordered by name without the D that not every firmware writes.
var models = []Model{
	{"120", 2, 0, threeRed, Reported}, // one provisioning system says 0
	{"140", 2, 0, threeRed, Verified},
	{"150", 2, 0, threeRed, Verified},
	{"300", 6, 0, orangeOnly, Reported}, // 4 by another count
	{"305", 5, 0, threeRed, Verified},
	{"315", 5, 0, threeRed, Verified},
	{"320", 12, 0, orangeOnly, Verified},
	{"335", 32, 8, threeRed, Verified},
	{"345", 48, 12, threeRed, Verified},
	{"360", 12, 0, orangeOnly, Verified},
	{"370", 12, 0, orangeOnly, Verified},
	{"375", 12, 0, threeRed, Verified},
	{"385", 48, 12, threeRed, Verified},
	{"710", 5, 0, nil, Verified},
	{"712", 5, 0, threeRed, Verified},
	{"713", 4, 0, threeRed, Verified},
	{"715", 5, 0, threeRed, Reported}, // 3 for one recent firmware
	{"717", 3, 0, threeRed, Verified},
	{"720", 18, 0, nil, Verified},
	{"725", 18, 0, threeRed, Verified},
	{"735", 32, 8, threeRed, Verified},
	{"745", 32, 8, threeRed, Verified},
	{"760", 16, 0, nil, Verified},
	{"765", 16, 0, threeRed, Verified},
	{"785", 24, 6, threeRed, Verified},
	{"810", 16, 4, threeRed, Reported},
	{"812", 32, 8, threeRed, Reported},
	{"815", 40, 10, threeRed, Reported},
	{"820", 16, 0, threeRed, Reported},
	{"821", 12, 0, threeRed, Reported},
	{"862", 32, 8, threeRed, Reported},
	{"865", 40, 10, threeRed, Reported},
	{"870", 15, 0, nil, Reported},
	{"892", 40, 10, threeRed, Reported},
	{"895", 42, 14, threeRed, Reported},
	{"MP", 0, 0, nil, Reported},
	{"PA1", 0, 0, nil, Reported},
}

// Lookup returns what is known of a model and whether it is in the table. Case
// and a leading D don't matter, as different firmware of one phone writes 715
// or D715; the Model has the name that was asked for. A model that is not in
// the table is taken to have DefaultKeys keys.
func Lookup(name string) (Model, bool) {
	for _, m := range models {
		if strings.EqualFold(m.Name, short(name)) {
			m.Name = name
			return m, true
		}
	}
	return Model{Name: name, Keys: DefaultKeys}, false
}
