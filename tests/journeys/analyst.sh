# A compliance analyst makes the first report: she has scanner outputs in a folder, and no cluster.
. "$JOURNEYS/steps.sh"
mkdir reports && cp "$EXAMPLES"/quickstart/inputs/trivy/payments.json reports/

say 'She tries it where nothing is set up yet.'
step 'affidavit run'
step 'affidavit init audit'
step 'cd audit'
step 'affidavit run'

say 'The example names are refused; she gives her own.'
step 'cd .. && rm -r audit && affidavit init audit --cluster payments-prod --origin evidence.example.org/payments && cd audit'
step 'ls -A . keys'

say 'There is no input yet. The dry run says what would be missing, and seals nothing.'
step 'affidavit run --dry-run'

say 'She has no kube-bench, so she takes that source out, and puts the Trivy report where the other one looks for it.'
step 'sed -i "/^  - name: kube-bench/,/expect_nodes/d" affidavit.yaml'
step 'mkdir -p inputs/trivy && cp ../reports/payments.json inputs/trivy/'
step 'affidavit inspect inputs/trivy/payments.json'
step 'affidavit run --dry-run'

say 'The scanner calls the cluster by another name. Both are the same, and she says so; and how many files there must be.'
step 'sed -i "s/^  # also_known_as: .*/  also_known_as: [payments-shop]/; s/^    # expect_files: 2/    expect_files: 1/" affidavit.yaml'

say 'She waives a failure, and mistypes the name of the check.'
cat > waivers.yaml <<'YAML'
waivers:
  - id: W-1
    scope: { checks: ['trivy:KSV012'], resources: ['*'] }
    reason: Replaced next quarter.
    approver: Ada Okafor
    ticket: SEC-1
    expires: 2099-12-31
YAML
step 'sed -i "s/^# waivers: /waivers: /" affidavit.yaml'
step 'affidavit run --dry-run'
step 'sed -i s/KSV012/KSV-0012/ waivers.yaml'
step 'affidavit run'

say 'She reads the report in a browser, and hands the archive over with a VERIFY.md in it.'
step 'affidavit report archive --format html --out report.html'
step 'affidavit bundle export archive --file evidence.tar'
step 'ls'
