// Package hostile has tests that run the whole server against peers that are broken or mean it ill,
// against disks that are full or slow, and against itself in a circle.
package hostile
