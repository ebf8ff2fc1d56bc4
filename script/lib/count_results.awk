# Count test results in the output of one suite: "passed failed".
#
# Understood: the summary of prove and pg_prove, the lines of pg_regress (up
# to 15 "test x ... ok", since 16 TAP), bare TAP, and Python's unittest.

# pg_regress before 16, one line for each test, parallel ones indented
/\.\.\. +ok +[0-9]+ ms/		{ passed++; next }
/\.\.\. +FAILED/		{ failed++; next }

# bare TAP; nested lines are indented and belong to their parent
/^ok( |$)/				{ bare_passed++; next }
/^not ok( |$)/			{ if ($0 ~ /# *TODO/) bare_passed++; else bare_failed++; next }

# prove: a line for each bad file, then the sum.  A file that is bad without a
# failed test (it died, or ran another number than planned) is one failure.
/\(Wstat: .*Tests: [0-9]+ Failed: [0-9]+\)/ {
	bad = $0
	sub(/.*Failed: /, "", bad)
	prove_failed += bad + 0
	prove_broken += bad + 0 == 0
	next
}
/^Files=[0-9]+, Tests=[0-9]+/ {
	ran = $0
	sub(/.*Tests=/, "", ran)
	prove_ran += ran + 0
	summaries++
	next
}

# Python
/^Ran [0-9]+ tests? in / { python_ran += $2; next }
/^FAILED \(.*\)$/ {
	count = split($0, parts, /[^0-9]+/)
	for (i = 1; i <= count; i++)
		python_failed += parts[i]
	next
}

END {
	# With prove's own sums, TAP lines are only the verbose form of the same.
	if (summaries) {
		passed += prove_ran - prove_failed
		failed += prove_failed + prove_broken
	} else {
		passed += bare_passed
		failed += bare_failed
	}
	print passed + python_ran - python_failed, failed + python_failed
}
