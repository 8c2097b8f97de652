// Package follow reads files again when they change, such as a users file or the members of a key
// profile.
//
// It polls once a second, which works on every file system, and also when a file is replaced,
// removed or half written: content that looks cut is taken only if it stays so. Content that is
// refused is reported once, and the previous content stays in force.
package follow
