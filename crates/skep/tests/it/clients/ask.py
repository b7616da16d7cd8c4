"""The official clients of two providers, unmodified, at the model endpoint: one line of JSON for each thing."""

import json
import os
import sys

import anthropic
import openai

BASE, KEY, MODEL = sys.argv[1], sys.argv[2], sys.argv[3]


def say(what, value):
    print(json.dumps([what, value]), flush=True)


def attempt(what, ask):
    try:
        say(what, ask())
    except (anthropic.APIStatusError, openai.APIStatusError) as error:
        say(what, [error.status_code, "limit of" in str(error), "skep budget" in str(error)])


messages = [{"role": "user", "content": "hello"}]
tools = [{"name": "get_weather", "description": "d", "input_schema": {"type": "object", "properties": {}}}]
functions = [{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}]

claude = anthropic.Anthropic(base_url=BASE, auth_token=KEY, api_key=None)
gpt = openai.OpenAI(base_url=BASE + "/v1", api_key=KEY)


def streamed():
    with claude.messages.stream(model=MODEL, max_tokens=128000, messages=messages) as stream:
        text = "".join(stream.text_stream)
        return [text, stream.get_final_message().stop_reason]


def whole():
    answer = claude.messages.create(model=MODEL, max_tokens=100, messages=messages)
    return [answer.content[0].text, answer.stop_reason, answer.role]


def tool():
    asked = [{"role": "user", "content": "weather"}]
    answer = claude.messages.create(model=MODEL, max_tokens=100, messages=asked, tools=tools)
    return [[block.name for block in answer.content if block.type == "tool_use"], answer.stop_reason]


def chat_streamed():
    stream = gpt.chat.completions.create(model=MODEL, messages=messages, stream=True)
    pieces = [chunk.choices[0] for chunk in stream if chunk.choices]
    return ["".join(piece.delta.content or "" for piece in pieces), pieces[-1].finish_reason]


def chat_whole():
    answer = gpt.chat.completions.create(model=MODEL, messages=messages).choices[0]
    return [answer.message.content, answer.finish_reason]


def chat_tool():
    asked = [{"role": "user", "content": "weather"}]
    answer = gpt.chat.completions.create(model=MODEL, messages=asked, tools=functions).choices[0]
    return [[call.function.name for call in answer.message.tool_calls], answer.finish_reason]


def responses_streamed():
    with gpt.responses.stream(model=MODEL, input="hello") as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        return [text, stream.get_final_response().status]


def responses_whole():
    answer = gpt.responses.create(model=MODEL, input="hello")
    return [answer.output_text, answer.status]


def cut():
    asked = [{"role": "user", "content": "everything"}]
    with claude.messages.stream(model=MODEL, max_tokens=128000, messages=asked) as stream:
        claude_reason = stream.get_final_message().stop_reason
    return claude_reason


def chat_cut():
    asked = [{"role": "user", "content": "everything"}]
    stream = gpt.chat.completions.create(model=MODEL, messages=asked, stream=True)
    return [chunk.choices[0] for chunk in stream if chunk.choices][-1].finish_reason


def responses_cut():
    with gpt.responses.stream(model=MODEL, input="everything") as stream:
        last = [event for event in stream][-1]
        return [last.type, last.response.incomplete_details.reason]


if os.environ.get("ONLY"):
    attempt("cut", {"messages": cut, "chat": chat_cut, "responses": responses_cut}[os.environ["ONLY"]])
    attempt("messages", whole)
    attempt("chat", chat_whole)
    attempt("responses", responses_whole)
    sys.exit(0)

attempt("count", lambda: claude.messages.count_tokens(model=MODEL, messages=messages).input_tokens > 0)
attempt("models", lambda: [len(list(claude.models.list())) > 0, len(list(gpt.models.list())) > 0])
attempt("messages", whole)
attempt("messages streamed", streamed)
attempt("messages tool", tool)
attempt("chat", chat_whole)
attempt("chat streamed", chat_streamed)
attempt("chat tool", chat_tool)
attempt("responses", responses_whole)
attempt("responses streamed", responses_streamed)
