package collect

// Quota is how many cores the control groups of this process allow; 0: no bound, or it is not known.
func Quota() float64 {
	k, err := thisMachine()
	if err != nil {
		return 0
	}
	_, cores, _ := k.throttled()
	return cores
}
