// The line protocol on Node's fetch, which keeps its connection. The CA comes by NODE_EXTRA_CA_CERTS.
import { createInterface } from "node:readline";

for await (const line of createInterface({ input: process.stdin })) {
  const [method, path, size] = line.split(" ");
  const body = Number(size) > 0 ? "b".repeat(Number(size)) : undefined;
  try {
    const answer = await fetch(process.env.AG_BASE + path, { method, body });
    await answer.arrayBuffer();
    console.log(`ok ${answer.status}`);
  } catch (error) {
    console.log(`error ${error.message} ${error.cause?.code ?? ""}`);
  }
}
