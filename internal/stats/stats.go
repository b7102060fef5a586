// Package stats holds the numbers of a bake-off: books, histograms and the
// summaries made of them. It is pure. Percentiles are never averaged, only
// histograms merged; a percentile that too few samples support is not given
// as a number but as the count of samples it needs.
package stats
