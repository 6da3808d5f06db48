// A certified OpenID provider on this machine, for the tests. It says in one line where it is, and does
// what it is told on standard input, a line each, answering `done`:
//
//   rotate   signs with another key from now on, and shows that one alone
//
// Its clients and people are fixed: whoever signs in is who they say, and the machine has a secret.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import Provider from 'oidc-provider';

const [port, tenant] = process.argv.slice(2);
const RESOURCE = 'https://tenantry.example';
const ROLES = { ann: ['boss'], machine: ['boss'] };

const server = createServer((request, response) => handle(request, response));
let handle;

function begin(issuer) {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'RS256' };
  const provider = new Provider(issuer, {
    jwks: { keys: [key] },
    cookies: { keys: ['a secret of the test'] },
    clients: [
      {
        client_id: 'machine',
        client_secret: 'a secret of the machine',
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

server.listen(Number(port), '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  begin(issuer);
  console.log(`provider listening on ${issuer}`);
  const told = createInterface({ input: process.stdin });
  told.on('line', (line) => {
    if (line === 'rotate') begin(issuer);
    console.log('done');
  });
  // Whoever started it is gone.
  told.on('close', () => process.exit());
});
