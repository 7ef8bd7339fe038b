"""From match counts to a verdict: exact statistics, the null, the policy, and the record of one verification."""
