// A certified OpenID provider on this machine, for the tests: `provider.mjs PORT TENANT [KEY CERTIFICATE]`.
// It says in one line where it is, and does what it is told on standard input, a line each:
//
//   rotate    signs with another key from now on, and shows that one alone; answers `done`
//   machine   answers `token` and one that the machine gets
//
// Its clients and people are fixed: whoever signs in is who they say, and the machine has a secret.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { createInterface } from 'node:readline';
import Provider from 'oidc-provider';

const [port, tenant, key, certificate] = process.argv.slice(2);
const RESOURCE = 'https://tenantry.example';
const ROLES = { ann: ['boss'], machine: ['boss'] };

let handle;
const answer = (request, response) => handle(request, response);
const server = key
  ? https.createServer({ key: readFileSync(key), cert: readFileSync(certificate) }, answer)
  : http.createServer(answer);

function begin(issuer) {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'RS256' };
  const provider = new Provider(issuer, {
    jwks: { keys: [jwk] },
    cookies: { keys: ['a secret of the test'] },
    clients: [
      {
        client_id: 'machine',
        client_secret: 'a secret of the machine',
        token_endpoint_auth_method: 'client_secret_post',
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      },
      {
        client_id: 'app',
        token_endpoint_auth_method: 'none',
        application_type: 'native',
        grant_types: ['authorization_code'],
        redirect_uris: ['http://127.0.0.1/back'],
        response_types: ['code'],
      },
    ],
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    extraTokenClaims: (_, token) => ({
      org: { tenant },
      roles: ROLES[token.accountId ?? token.clientId] ?? [],
    }),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => RESOURCE,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: 'tenantry',
          audience: RESOURCE,
          accessTokenFormat: 'jwt',
          accessTokenTTL: 3600,
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  });
  handle = provider.callback();
}

async function machine(issuer) {
  const form = {
    grant_type: 'client_credentials',
    scope: 'tenantry',
    client_id: 'machine',
    client_secret: 'a secret of the machine',
  };
  const url = `${issuer}/token`;
  const response = await fetch(url, { method: 'POST', body: new URLSearchParams(form) });
  return (await response.json()).access_token;
}

server.listen(Number(port), '127.0.0.1', () => {
  const { port } = server.address();
  const issuer = key ? `https://localhost:${port}` : `http://127.0.0.1:${port}`;
  begin(issuer);
  console.log(`provider listening on ${issuer}`);
  const told = createInterface({ input: process.stdin });
  told.on('line', async (line) => {
    if (line === 'rotate') {
      begin(issuer);
      console.log('done');
    }
    if (line === 'machine') console.log(`token ${await machine(issuer)}`);
  });
  // Whoever started it is gone.
  told.on('close', () => process.exit());
});
