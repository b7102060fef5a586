package verdict

import "fmt"

// warn says what a reader must know before the claims.
func (r *Result) warn(t *Table, blocks, names []string, all []pair) {
	if len(names) < 2 {
		r.add(WarnNoPairs, "%s: a verdict takes two", plural(len(names), "target"))
		return
	}
	for _, name := range names {
		if missing := t.missing(blocks, name); len(missing) > 0 {
			r.add(WarnMissingCells, "%s has no value in %s of %d: its pairs use only blocks that have both values",
				name, some(missing), len(blocks))
		}
	}
	r.warnFew(all)
	if r.Positions != nil && r.Positions.P <= positionAlpha {
		r.add(WarnPosition, "figures depend on the position in the block (p = %s): where every target is in every position equally often that cancels, elsewhere it favours some",
			pValue(r.Positions.P))
	}
	for _, p := range all {
		if p.n >= 2 && p.sd == 0 {
			r.add(WarnNoSpread, "the ratio of %s and %s is the same in all %d blocks: no noise was measured, so their p values and bounds mean nothing unless figures without noise are expected",
				p.a, p.b, p.n)
		}
	}
}

// warnFew says once for all pairs how many blocks are lacking.
func (r *Result) warnFew(all []pair) {
	few, least := 0, r.FewestBlocks
	for _, p := range all {
		if p.n < r.FewestBlocks {
			few++
			least = min(least, p.n)
		}
	}
	if few == 0 {
		return
	}
	which := "any verdict"
	if few < len(all) {
		which = "a verdict on " + plural(few, "pair")
	}
	r.add(WarnTooFewBlocks, "too few blocks for %s: %d complete, and any verdict over %s takes %d, so %d more",
		which, least, plural(len(all), "pair"), r.FewestBlocks, r.FewestBlocks-least)
}

func (r *Result) add(code, format string, args ...any) {
	r.Warnings = append(r.Warnings, Warning{Code: code, Text: fmt.Sprintf(format, args...)})
}

// missing are the blocks in which a target has no figure.
func (t *Table) missing(blocks []string, target string) []string {
	var out []string
	for _, block := range blocks {
		if _, has := t.cells[target][block]; !has {
			out = append(out, block)
		}
	}
	return out
}

// some names blocks, at most five of them.
func some(blocks []string) string {
	const most = 5
	switch {
	case len(blocks) == 1:
		return "block " + blocks[0]
	case len(blocks) <= most:
		return "blocks " + list(blocks)
	}
	return fmt.Sprintf("%d blocks (the first is %s)", len(blocks), blocks[0])
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
