"""Verifies DSSE envelopes with securesystemslib, the library of in-toto and TUF:

    dsse.py PUBLIC-KEY.pem ENVELOPE...

Prints `<SHA-256 of the payload>  <envelope>` for each that the key signed; exits with 1 otherwise.
"""

import hashlib
import json
import sys

from cryptography.hazmat.primitives import serialization
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

key_file, *envelopes = sys.argv[1:]
with open(key_file, "rb") as file:
    public = serialization.load_pem_public_key(file.read())
spki = public.public_bytes(
    serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
)
key = SSlibKey.from_crypto(public, keyid=hashlib.sha256(spki).hexdigest())
for path in envelopes:
    with open(path, "rb") as file:
        envelope = Envelope.from_dict(json.load(file))
    try:
        envelope.verify([key], threshold=1)
    except VerificationError as error:
        sys.exit(f"{path}: {error}")
    print(f"{hashlib.sha256(envelope.payload).hexdigest()}  {path}")
