// Package hostile tests the whole server against broken and malicious peers, full and slow disks,
// and forwarding loops.
package hostile
