// Package placeholders tests that {env.NAME}, which stands for all global placeholders, works in
// every option of a configuration, or is refused with the place in the Caddyfile where it stands:
// it is never taken for text in silence.
package placeholders
