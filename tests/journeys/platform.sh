# A platform engineer sets up the nightly run for a cluster with three nodes.
. "$JOURNEYS/steps.sh"
kube_bench() { # kube_bench EDITION STATUS
  printf '[{"id":"4","version":"%s","node_type":"node","tests":[{"results":[{"test_number":"4.2.1","status":"%s","scored":true}]}]}]\n' "$1" "$2"
}

step 'affidavit init . --cluster prod --origin evidence.example.org/prod --quiet'
cat > affidavit.yaml <<'YAML'
cluster: { name: prod }
origin: evidence.example.org/prod
archive: { uri: archive }
keys: { signer: keys/log.pem, keyring: keys/keyring, disclosure_secret: keys/disclosure.secret }
schedule: "0 2 * * *"
frameworks: [cis-kubernetes@1.12]
sources:
  - name: kube-bench
    scanner: kube-bench
    files: ["nodes/*/kube-bench.json"]
    max_age: 36h
YAML

say 'The collector left one folder per node.'
mkdir -p nodes/n1 nodes/n2 nodes/n3
kube_bench cis-1.12 PASS > nodes/n1/kube-bench.json
kube_bench cis-1.12 PASS > nodes/n2/kube-bench.json
kube_bench eks-1.8.0 FAIL > nodes/n3/kube-bench.json
step 'affidavit run --dry-run'

say 'All three files have one name: the pattern says which part of the path is the node, and the source which nodes there are.'
step 'sed -i "s#nodes/\*/#nodes/{node}/#; s#^    max_age: 36h#&\n    expect_nodes: [n1, n2, n3]#" affidavit.yaml'
step 'affidavit run --dry-run'

say 'Node n3 was scanned by another benchmark, which nothing maps. It is scanned again; and n2 is forgotten.'
kube_bench cis-1.12 FAIL > nodes/n3/kube-bench.json
mv nodes/n2 n2-forgotten
step 'affidavit run --strict'
step 'affidavit doctor'
mv n2-forgotten nodes/n2
step 'affidavit run --fail-on not-satisfied'
step 'affidavit run --dry-run --output json | head -c 400'

say 'Paths that are no paths.'
step 'affidavit report archive --out s3://bucket/report.pdf'
step 'affidavit verify s3:/bucket/prefix'
step 'ls'

say 'Another machine watches the archive.'
step 'affidavit watch archive'
step 'affidavit watch archive --root keys/root.fingerprint'
