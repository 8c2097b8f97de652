// This file lets work.go declare a function without a body.
