package delivery

import (
	"container/heap"
	"time"
)

// The lines. What has changed goes first: a lamp must not wait for a thousand phones that have just come back. Whoever is only back gets one turn in
// bulkTurn.
const (
	urgentLine = iota
	bulkLine

	bulkTurn = 4
)

// line is where phones wait for their turn: first come, first served. A phone that has left the line is passed over.
type line struct {
	phones []*phone
	head   int
}

func (l *line) push(p *phone) {
	if l.head > 64 && l.head > len(l.phones)/2 {
		n := copy(l.phones, l.phones[l.head:])
		clear(l.phones[n:])
		l.phones, l.head = l.phones[:n], 0
	}
	l.phones = append(l.phones, p)
}

func (l *line) pop(number uint8) *phone {
	for l.head < len(l.phones) {
		p := l.phones[l.head]
		l.phones[l.head] = nil
		l.head++
		if p.line == number {
			p.line = 0
			return p
		}
	}
	l.phones, l.head = nil, 0
	return nil
}

// queue puts a phone in line, unless its turn comes by itself. The caller holds the lock.
func (d *Delivery) queue(p *phone) {
	if p.gone || p.unsupported || p.unreachable || p.flight != nil || p.place != 0 {
		return
	}
	number := uint8(bulkLine + 1)
	if p.urgent {
		number = urgentLine + 1
	}
	if p.line == number {
		return
	}
	p.line = number
	d.lines[number-1].push(p)
}

// answerTime is what a phone that has just registered is left in peace: it is to have the answer to its REGISTER before anything else.
const answerTime = 20 * time.Millisecond

// queueLater puts a phone in line in a moment. The caller holds the lock.
func (d *Delivery) queueLater(p *phone) {
	if p.gone || p.unsupported || p.unreachable || p.flight != nil || p.place != 0 || p.line != 0 {
		return
	}
	p.retry = time.Now().Add(answerTime).UnixNano()
	d.retries.add(p)
}

// pop returns whose turn it is.
func (d *Delivery) pop() *phone {
	first, second := urgentLine, bulkLine
	if d.turn++; d.turn%bulkTurn == 0 {
		first, second = second, first
	}
	if p := d.lines[first].pop(uint8(first + 1)); p != nil {
		return p
	}
	return d.lines[second].pop(uint8(second + 1))
}

func (d *Delivery) waiting() bool {
	return d.lines[urgentLine].head < len(d.lines[urgentLine].phones) || d.lines[bulkLine].head < len(d.lines[bulkLine].phones)
}

// retries is a heap of the phones that are asked again, by the time.
type retries []*phone

func (r *retries) add(p *phone) { heap.Push(r, p) }

func (r *retries) remove(p *phone) {
	if p.place != 0 {
		heap.Remove(r, int(p.place)-1)
	}
}

// Len implements heap.Interface.
func (r retries) Len() int { return len(r) }

// Less implements heap.Interface.
func (r retries) Less(i, j int) bool { return r[i].retry < r[j].retry }

// Swap implements heap.Interface.
func (r retries) Swap(i, j int) {
	r[i], r[j] = r[j], r[i]
	r[i].place, r[j].place = int32(i+1), int32(j+1)
}

// Push implements heap.Interface.
func (r *retries) Push(x any) {
	p := x.(*phone)
	*r = append(*r, p)
	p.place = int32(len(*r))
}

// Pop implements heap.Interface.
func (r *retries) Pop() any {
	last := len(*r) - 1
	p := (*r)[last]
	(*r)[last] = nil
	*r = (*r)[:last]
	p.place = 0
	return p
}

// Interface guard
var _ heap.Interface = (*retries)(nil)
