// Resend's SDK for Node.js, unmodified. Reads one JSON object a line: what to call; answers each with one line.
// Arguments: the package (`resend`), the address of `postroom serve`.

import { createInterface } from "node:readline";

const [, , name, baseUrl] = process.argv;
const { Resend } = await import(name);

const attachment = ({ base64, binary, content_type: contentType, content_id: contentId, ...rest }) => ({
  ...rest,
  content: base64 && (binary ? Buffer.from(base64, "base64") : base64),
  contentType,
  contentId,
});

const mail = ({ reply_to: replyTo, scheduled_at: scheduledAt, attachments, ...rest }) => ({
  ...rest,
  replyTo,
  scheduledAt,
  attachments: attachments?.map(attachment),
});

const calls = {
  send: (sdk, { given, headers, idempotency_key: idempotencyKey }) => sdk.emails.send(mail(given), { headers, idempotencyKey }),
  batch: (sdk, { given, validation: batchValidation, idempotency_key: idempotencyKey }) =>
    sdk.batch.send(given.map(mail), { batchValidation, idempotencyKey }),
  get: (sdk, { id }) => sdk.emails.get(id),
  list: (sdk, { page }) => sdk.emails.list(page),
  update: (sdk, { id, scheduled_at: scheduledAt }) => sdk.emails.update({ id, scheduledAt }),
  cancel: (sdk, { id }) => sdk.emails.cancel(id),
  key_create: (sdk, { given }) => sdk.apiKeys.create(given),
  key_list: (sdk) => sdk.apiKeys.list(),
  key_remove: (sdk, { id }) => sdk.apiKeys.remove(id),
  put: (sdk, { path }) => sdk.put(path, {}),
  fetch: (sdk, { path }) => sdk.get(path),
};

for await (const line of createInterface({ input: process.stdin })) {
  const call = JSON.parse(line);
  // The SDK takes no empty key; a blank one reaches the server as no key.
  const answer = await calls[call.op](new Resend(call.key || " ", { baseUrl }), call);
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
