package delivery

import (
	"container/heap"
	"time"
)

// The queues. Changes go first: a lamp must not wait for a thousand phones that have just come
// back. Those get one turn in bulkTurn, and each its first key before any gets all of them. Phones
// that did not answer the last time come last.
const (
	urgentQueue = iota // phones that answer, and something has changed
	newQueue           // phones that have not been sent anything yet
	bulkQueue          // phones that answer
	silentQueue        // phones that did not
	queueCount

	bulkTurn = 4
)

// room is how many messages may be on their way, and without an outcome, when another one is sent
// to a phone of each queue. Some room is reserved for the queues that go first.
var room = [queueCount]struct{ slots, pending int }{
	urgentQueue: {maxSlots, maxPending},
	newQueue:    {maxSlots - maxSlots/4, maxPending - maxPending/4},
	bulkQueue:   {maxSlots - maxSlots/8, maxPending - maxPending/8},
	silentQueue: {maxSlots / 4, maxPending / 2},
}

// queueOf returns the queue that a phone belongs in.
func (p *phone) queueOf() int {
	switch {
	case p.silent > 0:
		return silentQueue
	case !p.known:
		return newQueue
	case p.urgent:
		return urgentQueue
	}
	return bulkQueue
}

// queue is where phones wait for their turn: first come, first served. A phone that has left the
// queue is passed over.
type queue struct {
	phones []*phone
	head   int
}

func (q *queue) push(p *phone) {
	if q.head > 64 && q.head > len(q.phones)/2 {
		n := copy(q.phones, q.phones[q.head:])
		clear(q.phones[n:])
		q.phones, q.head = q.phones[:n], 0
	}
	q.phones = append(q.phones, p)
}

func (q *queue) pop(number uint8) *phone {
	for q.head < len(q.phones) {
		p := q.phones[q.head]
		q.phones[q.head] = nil
		q.head++
		if p.queue == number {
			p.queue = 0
			return p
		}
	}
	q.phones, q.head = nil, 0
	return nil
}

// enqueue puts a phone into its queue, unless it has to wait for something first. The caller holds
// the lock.
func (d *Delivery) enqueue(p *phone) {
	if p.gone || p.unsupported || p.unreachable || p.flight != nil || p.heapIndex != 0 {
		return
	}
	number := uint8(p.queueOf() + 1)
	if p.queue == number {
		return
	}
	p.queue = number
	d.queues[number-1].push(p)
}

// answerTime is how long nothing is sent to a phone that has just registered: it must get the
// answer to its REGISTER first.
const answerTime = 20 * time.Millisecond

// enqueueLater puts a phone into its queue in a moment. The caller holds the lock.
func (d *Delivery) enqueueLater(p *phone) {
	if p.gone || p.unsupported || p.unreachable || p.flight != nil || p.heapIndex != 0 || p.queue != 0 {
		return
	}
	d.retryAt(p, d.clock.Now().Add(answerTime))
}

// retryAt puts a phone into its queue at a time. The caller holds the lock.
func (d *Delivery) retryAt(p *phone, at time.Time) {
	p.retry = at.UnixNano()
	d.retries.add(p)
}

// pop returns the phone whose turn it is, nil when none waits for which there is room.
func (d *Delivery) pop() *phone {
	first := urgentQueue
	if d.turn++; d.turn%bulkTurn == 0 {
		first = newQueue
	}
	for i := range queueCount {
		n := (first + i) % queueCount
		if !d.roomFor(n) {
			continue
		}
		if p := d.queues[n].pop(uint8(n + 1)); p != nil {
			return p
		}
	}
	return nil
}

// roomFor reports whether another message may be sent to a phone of a queue.
func (d *Delivery) roomFor(n int) bool {
	return d.slots < room[n].slots && d.pending < room[n].pending
}

// waiting reports whether a phone waits for which there is room.
func (d *Delivery) waiting() bool {
	for n := range d.queues {
		if q := &d.queues[n]; q.head < len(q.phones) && d.roomFor(n) {
			return true
		}
	}
	return false
}

// retries is a heap of the phones that are sent to again, by the time.
type retries []*phone

func (r *retries) add(p *phone) { heap.Push(r, p) }

func (r *retries) remove(p *phone) {
	if p.heapIndex != 0 {
		heap.Remove(r, int(p.heapIndex)-1)
	}
}

// Len implements heap.Interface.
func (r retries) Len() int { return len(r) }

// Less implements heap.Interface.
func (r retries) Less(i, j int) bool { return r[i].retry < r[j].retry }

// Swap implements heap.Interface.
func (r retries) Swap(i, j int) {
	r[i], r[j] = r[j], r[i]
	r[i].heapIndex, r[j].heapIndex = int32(i+1), int32(j+1)
}

// Push implements heap.Interface.
func (r *retries) Push(x any) {
	p := x.(*phone)
	*r = append(*r, p)
	p.heapIndex = int32(len(*r))
}

// Pop implements heap.Interface.
func (r *retries) Pop() any {
	last := len(*r) - 1
	p := (*r)[last]
	(*r)[last] = nil
	*r = (*r)[:last]
	p.heapIndex = 0
	return p
}

// Interface guard
var _ heap.Interface = (*retries)(nil)
