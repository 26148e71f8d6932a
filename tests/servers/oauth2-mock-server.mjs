// npm's oauth2-mock-server: a token endpoint that another author wrote, which issues signed JWTs. Argument: the file into which
// each access token goes that it issues. Writes one JSON object a line: {port}, then {token} for each request.
import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { OAuth2Server } from "oauth2-mock-server";

const [tokenFile] = process.argv.slice(2);
const tell = (event) => process.stdout.write(JSON.stringify(event) + "\n");

const server = new OAuth2Server();
await server.issuer.keys.generate("RS256");
// Two tokens of the same second would be the same.
server.service.on("beforeTokenSigning", (token) => Object.assign(token.payload, { jti: randomUUID() }));
server.service.on("beforeResponse", ({ body }, request) => {
  writeFileSync(tokenFile, body.access_token);
  const { grant_type: grant, client_id: client, refresh_token: given } = request.body;
  tell({ token: { grant, client, given, next: body.refresh_token, access: body.access_token } });
});
await server.start(0, "127.0.0.1");
tell({ port: server.address().port });
