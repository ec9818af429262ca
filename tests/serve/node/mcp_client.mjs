// Asks a server of MCP and prints what it gives. Arguments: an address, or a command and its own.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [command, ...args] = process.argv.slice(2);
const transport = command.startsWith("http://")
  ? new StreamableHTTPClientTransport(new URL(command))
  : new StdioClientTransport({ command, args, env: process.env });
const client = new Client({ name: "a client", version: "1" });
await client.connect(transport);
const question = "What is the fee a day?";
const { tools } = await client.listTools(); // from here on it checks each output by its schema
const search = await client.callTool({ name: "search", arguments: { question } });
const ask = await client.callTool({ name: "ask", arguments: { question } });
const wrong = await client.callTool({ name: "read", arguments: { doc_id: "none" } });
const { resources } = await client.listResources();
const { contents } = await client.readResource({ uri: resources[0].uri });
await client.close();
console.log(
  JSON.stringify({
    tools: tools.map((tool) => [tool.name, tool.annotations.readOnlyHint]),
    hits: search.structuredContent.hits.map((hit) => hit.path),
    text: ask.structuredContent.text,
    wrong: [wrong.isError, wrong.content[0].text],
    resources: resources.map((resource) => resource.name),
    contents: contents[0].text,
  }),
);
