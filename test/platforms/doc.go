// Package platforms type-checks this module for every platform that it is built for, without
// compiling: what overflows an int of 32 bits, or needs a system call that another system does not
// have, shows within a minute.
//
//	go test -tags platforms ./test/platforms
package platforms
