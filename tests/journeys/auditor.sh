# An auditor gets an archive, a root fingerprint by telephone and a head by mail, and has never seen the program.
. "$JOURNEYS/steps.sh"
cp -r "$ARCHIVE" evidence && cp "$ROOT" root.txt && cp "$HEAD" head.txt

say 'A file manager was here, and she put her notes beside the evidence.'
step 'mkdir handed-over && mv evidence handed-over/ && echo "call Dana" > handed-over/notes.txt && touch handed-over/evidence/.DS_Store handed-over/evidence/notes.txt'
step 'affidavit verify handed-over'
step 'affidavit verify handed-over/evidence'
step 'affidavit verify handed-over/evidence --root root.txt'

say 'With the head that she was mailed, the end of the chain is known as well.'
step 'affidavit verify handed-over/evidence --root root.txt --pin head.txt --replay'

say 'She follows VERIFY.md, with tools of others.'
follow() { sed -n '/^```sh$/,/^```$/p' "$1" | sed '/^```/d' | bash; }
step 'cd handed-over/evidence'
step 'follow VERIFY.md > ../said.txt 2>&1 || true'
step 'cd ../..'
step 'affidavit verify handed-over/evidence --root root.txt --pin head.txt'

say 'She takes a single file, and the wrong one.'
step 'cp "$(ls handed-over/evidence/bundles/*/report.pdf | head -1)" report.pdf'
step 'affidavit verify report.pdf'
step 'affidavit report handed-over/evidence --root root.txt --check report.pdf'

say 'Somebody changes one finding, and somebody removes the newest bundle.'
step 'cp -r handed-over/evidence changed && sed -i "0,/FAIL/s//PASS/" changed/bundles/*/inputs/*/*.json'
step 'affidavit verify changed --root root.txt'
step 'cp -r handed-over/evidence cut && rm cut/log/0000000002.* cut/checkpoints/0000000003 && cp cut/checkpoints/0000000002 cut/checkpoint'
step 'affidavit verify cut --root root.txt'
step 'affidavit verify cut --root root.txt --pin head.txt'

say 'She draws a sample that can be drawn again, and takes one finding with its proof.'
step 'affidavit sample handed-over/evidence --seed "spring audit" --n 2'
step 'affidavit disclose handed-over/evidence --item finding/0000001 --file finding.json'
step 'affidavit verify-proof finding.json --root root.txt --pin head.txt'
