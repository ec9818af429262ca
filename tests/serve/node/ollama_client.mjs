// Asks a server of Ollama and prints what it gives. Argument: its address.
import { Ollama } from "ollama";

const client = new Ollama({ host: process.argv[2] });
const messages = [{ role: "user", content: "What is the fee a day?" }];
const { models } = await client.list();
const shown = await client.show({ model: models[0].model });
const whole = await client.chat({ model: models[0].model, messages });
const pieces = [];
for await (const piece of await client.chat({ model: "library", messages, stream: true })) {
  pieces.push(piece);
}
const generated = await client.generate({ model: "library", prompt: messages[0].content });
const refused = await client.delete({ model: "library" }).catch((error) => error.message);
console.log(
  JSON.stringify({
    models: models.map((model) => model.name),
    capabilities: shown.capabilities,
    whole: whole.message.content,
    streamed: pieces.map((piece) => piece.message.content).join(""),
    count: pieces.at(-1).eval_count,
    generated: generated.response,
    refused,
  }),
);
