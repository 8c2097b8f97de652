// Package globals replaces the placeholders that are the same for every request, such as
// {env.NAME} and {file./run/secrets/101}, in the texts of a configuration when it is loaded. What is
// no such placeholder is refused where it would stay there as text.
package globals
