// Package handlertest runs a whole server for tests: a configuration goes in, real sockets come
// out.
package handlertest
