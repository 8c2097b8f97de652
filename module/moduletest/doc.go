// Package moduletest helps to test handlers and matchers without a network.
package moduletest
