// A client of sigstore-js's libraries, for the tests beside it: its own command verifies through a TUF mirror only, the libraries do not.
//
//   client.cjs sign   KIND CONFIG TOKEN-FILE FILE BUNDLE   KIND is message or dsse (FILE is then an in-toto statement)
//   client.cjs verify ROOT IDENTITY ISSUER FILE|sha256:HEX BUNDLE   of an in-toto statement the file or digest must be a subject
'use strict';

const { createHash } = require('node:crypto');
const { readFileSync, writeFileSync } = require('node:fs');
const { bundleFromJSON, bundleToJSON } = require('@sigstore/bundle');
const { SigningConfig, TrustedRoot } = require('@sigstore/protobuf-specs');
const { bundleBuilderFromSigningConfig } = require('@sigstore/sign');
const { Verifier, toSignedEntity, toTrustMaterial } = require('@sigstore/verify');

const IN_TOTO = 'application/vnd.in-toto+json';
const json = (path) => JSON.parse(readFileSync(path, 'utf8'));

async function sign([kind, config, token, file, bundle]) {
  const builder = bundleBuilderFromSigningConfig({
    signingConfig: SigningConfig.fromJSON(json(config)),
    identityProvider: { getToken: async () => readFileSync(token, 'utf8').trim() },
    bundleType: kind === 'dsse' ? 'dsseEnvelope' : 'messageSignature',
  });
  const artifact = { data: readFileSync(file), type: kind === 'dsse' ? IN_TOTO : undefined };
  writeFileSync(bundle, JSON.stringify(bundleToJSON(await builder.create(artifact))));
}

function verify([root, identity, issuer, file, path]) {
  const bundle = bundleFromJSON(json(path));
  const envelope = bundle.content.$case === 'dsseEnvelope' ? bundle.content.dsseEnvelope : undefined;
  const entity = toSignedEntity(bundle, envelope ? undefined : readFileSync(file));
  const verifier = new Verifier(toTrustMaterial(TrustedRoot.fromJSON(json(root))));
  // The library takes the identity as a regular expression.
  const exact = identity.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  verifier.verify(entity, { subjectAlternativeName: `^${exact}$`, extensions: { issuer } });
  if (!envelope) return;
  const digest = file.startsWith('sha256:') ? file.slice(7) : createHash('sha256').update(readFileSync(file)).digest('hex');
  const { subject } = JSON.parse(envelope.payload);
  if (!subject.some((one) => one.digest.sha256 === digest)) throw new Error('the statement is about something else');
}

async function main([command, ...words]) {
  if (command === 'sign') await sign(words);
  else if (command === 'verify') verify(words);
  else throw new Error(`unknown command ${command}`);
}

main(process.argv.slice(2)).catch((error) => {
  console.error(`${error.name} ${error.code ?? ''}: ${error.message}`);
  for (let cause = error.cause; cause; cause = cause.cause) console.error(`  ${cause.name}: ${cause.message}`);
  process.exitCode = 1;
});
