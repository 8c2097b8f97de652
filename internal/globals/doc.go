// Package globals replaces the placeholders that are the same for every request, such as
// {env.NAME} and {file./run/secrets/101}, in the texts of a configuration when it is loaded. Other
// placeholders are refused where nothing would replace them later.
package globals
