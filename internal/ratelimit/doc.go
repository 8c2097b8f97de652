// Package ratelimit counts the events of any number of sources in a fixed amount of memory. The
// rate_limit handler and digest_auth use it. A Table is 2.2 MB large and follows 131,072 sources;
// when there are more it forgets the least active first. Each set of sources has a lock of its own.
package ratelimit
