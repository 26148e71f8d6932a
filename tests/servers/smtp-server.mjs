// npm's smtp-server over implicit TLS, demanding XOAUTH2. Arguments: key file, certificate file, file with the access
// token that is accepted. Writes one JSON object a line: {port}, then {login} and {mail} as they come.
import { readFileSync } from "node:fs";
import { SMTPServer } from "smtp-server";

const [key, cert, tokenFile] = process.argv.slice(2);
const tell = (event) => process.stdout.write(JSON.stringify(event) + "\n");

const server = new SMTPServer({
  secure: true,
  key: readFileSync(key),
  cert: readFileSync(cert),
  authMethods: ["XOAUTH2"],
  onAuth(auth, session, done) {
    const accepted = auth.method === "XOAUTH2" && auth.accessToken === readFileSync(tokenFile, "utf8");
    tell({ login: { user: auth.username, accepted } });
    if (accepted) return done(null, { user: auth.username });
    return done(null, { data: { status: "400", schemes: "Bearer", scope: "https://mail.google.com/" } });
  },
  onRcptTo(address, session, done) {
    if (!address.address.startsWith("gone")) return done();
    return done(Object.assign(new Error("5.1.1 No such user"), { responseCode: 550 }));
  },
  onData(stream, session, done) {
    const chunks = [];
    stream.on("data", (chunk) => chunks.push(chunk));
    stream.on("end", () => {
      tell({
        mail: {
          from: session.envelope.mailFrom.address,
          to: session.envelope.rcptTo.map((recipient) => recipient.address),
          bytes: Buffer.concat(chunks).toString("base64"),
        },
      });
      done();
    });
  },
});
server.listen(0, "127.0.0.1", () => tell({ port: server.server.address().port }));
