// Package snom knows Snom's phones: how they name themselves in User-Agent headers, and how many
// function keys, in which colours, each model has.
//
// keys and delivery ask it to warn of keys that a phone lacks. Models that the built-in table
// lacks, or has wrong, can be given in the configuration. The table says how well each number is
// known. It has no state and no locks.
package snom
