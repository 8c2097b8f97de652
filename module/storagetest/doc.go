// Package storagetest tests that a storage engine does what the server wants of it. Whoever writes
// a storage module runs it in a test of his own:
package storagetest
