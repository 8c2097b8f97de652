// Package follow reads files again when they change, such as lists of users and the members of key
// profiles.
//
// Watch polls, since the files may be on any file system, and a file that is replaced, removed or
// half written must not confuse it. Content that its user refuses is reported once, and what was
// read before stays in force.
package follow
