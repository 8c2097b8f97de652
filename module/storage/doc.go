// Package storage has the storages that are built in: modules that say where registrations and key
// records are kept.
package storage
