package store

import "time"

// sweepInterval is how often a part of the store is searched for what has expired. That is hidden
// in any case; sweeping frees its space.
const sweepInterval = 10 * time.Second
