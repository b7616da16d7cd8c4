// The official clients of three providers, unmodified, at the model endpoint: one line of JSON for each thing.
import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import OpenAI from "openai";

const [base, key, model] = process.argv.slice(2);
const claude = new Anthropic({ baseURL: base, authToken: key, apiKey: null });
const gpt = new OpenAI({ baseURL: base + "/v1", apiKey: key });
const gemini = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: base } }).models;
const messages = [{ role: "user", content: "hello" }];
const weather = [{ role: "user", content: "weather" }];
const tools = [{ name: "get_weather", description: "d", input_schema: { type: "object", properties: {} } }];
const functions = [{ type: "function", function: { name: "get_weather", parameters: { type: "object" } } }];

const attempt = async (what, ask) => {
  let value;
  try {
    value = await ask();
  } catch (error) {
    const text = String(error.message);
    value = [error.status ?? text, text.includes("limit of"), text.includes("skep budget")];
  }
  console.log(JSON.stringify([what, value]));
};

const whole = async () => {
  const answer = await claude.messages.create({ model, max_tokens: 100, messages });
  return [answer.content[0].text, answer.stop_reason, answer.role];
};
const streamed = async () => {
  const stream = claude.messages.stream({ model, max_tokens: 128000, messages });
  let text = "";
  stream.on("text", (delta) => (text += delta));
  const final = await stream.finalMessage();
  return [text, final.stop_reason];
};
const tool = async () => {
  const answer = await claude.messages.create({ model, max_tokens: 100, messages: weather, tools });
  const names = answer.content.filter((block) => block.type === "tool_use").map((block) => block.name);
  return [names, answer.stop_reason];
};
const chatWhole = async () => {
  const answer = (await gpt.chat.completions.create({ model, messages })).choices[0];
  return [answer.message.content, answer.finish_reason];
};
const chatStreamed = async () => {
  let text = "";
  let reason = null;
  for await (const chunk of await gpt.chat.completions.create({ model, messages, stream: true })) {
    text += chunk.choices[0]?.delta?.content ?? "";
    reason = chunk.choices[0]?.finish_reason ?? reason;
  }
  return [text, reason];
};
const chatTool = async () => {
  const answer = (await gpt.chat.completions.create({ model, messages: weather, tools: functions })).choices[0];
  return [answer.message.tool_calls.map((call) => call.function.name), answer.finish_reason];
};
const responsesWhole = async () => {
  const answer = await gpt.responses.create({ model, input: "hello" });
  return [answer.output_text, answer.status];
};
const responsesStreamed = async () => {
  let text = "";
  let status = null;
  for await (const event of await gpt.responses.create({ model, input: "hello", stream: true })) {
    if (event.type === "response.output_text.delta") text += event.delta;
    status = event.response?.status ?? status;
  }
  return [text, status];
};

const declared = [{ functionDeclarations: [{ name: "get_weather", parametersJsonSchema: { type: "object" } }] }];
const geminiWhole = async () => {
  const answer = await gemini.generateContent({ model, contents: "hello" });
  return [answer.text, answer.candidates[0].finishReason];
};
const geminiStreamed = async () => {
  let text = "";
  let last = null;
  for await (last of await gemini.generateContentStream({ model, contents: "hello" })) text += last.text ?? "";
  return [text, last.candidates[0].finishReason, last.usageMetadata.totalTokenCount >= 0];
};
const geminiTool = async () => {
  const answer = await gemini.generateContent({ model, contents: "weather", config: { tools: declared } });
  return answer.functionCalls.map((call) => call.name);
};

const everything = [{ role: "user", content: "everything" }];
const cut = {
  messages: async () => {
    const stream = claude.messages.stream({ model, max_tokens: 128000, messages: everything });
    return (await stream.finalMessage()).stop_reason;
  },
  chat: async () => {
    let reason = null;
    for await (const chunk of await gpt.chat.completions.create({ model, messages: everything, stream: true })) {
      reason = chunk.choices[0]?.finish_reason ?? reason;
    }
    return reason;
  },
  responses: async () => {
    let last = null;
    for await (const event of await gpt.responses.create({ model, input: "everything", stream: true })) last = event;
    return [last.type, last.response.incomplete_details.reason];
  },
  gemini: async () => {
    let last = null;
    for await (last of await gemini.generateContentStream({ model, contents: "everything" }));
    return last.candidates[0].finishReason;
  },
};

if (process.env.ONLY) {
  await attempt("cut", cut[process.env.ONLY]);
  await attempt("messages", whole);
  await attempt("chat", chatWhole);
  await attempt("responses", responsesWhole);
  await attempt("gemini", geminiWhole);
} else {
  const count = async () => (await claude.messages.countTokens({ model, messages })).input_tokens > 0;
  const models = async () => [
    (await claude.models.list()).data.length > 0,
    (await gpt.models.list()).data.length > 0,
  ];
  await attempt("count", count);
  await attempt("models", models);
  await attempt("messages", whole);
  await attempt("messages streamed", streamed);
  await attempt("messages tool", tool);
  await attempt("chat", chatWhole);
  await attempt("chat streamed", chatStreamed);
  await attempt("chat tool", chatTool);
  await attempt("responses", responsesWhole);
  await attempt("responses streamed", responsesStreamed);
  const counted = async () => (await gemini.countTokens({ model, contents: "hello" })).totalTokens > 0;
  const listed = async () => (await gemini.list()).page.some((one) => one.name === `models/${model}`);
  const one = async () => (await gemini.get({ model })).name === `models/${model}`;
  await attempt("gemini count", counted);
  await attempt("gemini models", async () => [await listed(), await one()]);
  await attempt("gemini", geminiWhole);
  await attempt("gemini streamed", geminiStreamed);
  await attempt("gemini tool", geminiTool);
}
