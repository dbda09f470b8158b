'use strict';

// Starts s3rver with a key pair of ours beside its own, which is S3RVER twice.
// Arguments: where node_modules is, port, folder.
const [root, port, directory] = process.argv.slice(2);
const s3rver = `${root}/node_modules/s3rver`;
require(`${s3rver}/lib/models/account`).DUMMY_ACCOUNT.createKeyPair('admin', 'contract-secret');
const S3rver = require(s3rver);

new S3rver({ address: '127.0.0.1', port: Number(port), directory }).run().catch(error => {
  console.error(error);
  process.exit(1);
});
