// Package gate decides whether a trial may be used. Totals, counts of
// witnesses and the host's series go in, reasons come out; it starts, reads and
// writes nothing. A live run and a reader of its record use the same rules on
// the same numbers, so anyone who has the record can compute again why a trial was refused.
//
// It refuses a trial whose books do not add up, whose witnesses counted
// something else, that was not answered correctly, whose agents were the limit, or that others
// disturbed. It knows no target, no platform and no load engine.
package gate
