"""Fixtures of the chat template tests: templates of the model families, and small ones for each part of Jinja, with
the text that transformers' own Jinja environment renders.

    pip install transformers jinja2
    python make_templates.py FOLDER

Writes chat_templates.json: {"templates": {name: source}, "variables": [...], "cases": [[name, index of variables, text
or null, error or null], ...]}. The templates are written from knowledge of the models' files. Seeded by nothing.
"""
import datetime
import json
import pathlib
import sys

import jinja2
from transformers.utils import chat_template_utils

CHATML = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
          "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
QWEN15 = ("{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
          "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
          "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
          "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
QWEN15_OLD = ("{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content']}}"
              "{% if (loop.last and add_generation_prompt) or not loop.last %}{{ '<|im_end|>' + '\n'}}{% endif %}{% endfor %}"
              "{% if add_generation_prompt and messages[-1]['role'] != 'assistant' %}{{ '<|im_start|>assistant\n' }}{% endif %}")
QWEN25 = r"""{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] }}
    {%- else %}
        {{- 'You are Qwen, created by Alibaba Cloud. You are a helpful assistant.' }}
    {%- endif %}
    {{- "\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function signatures within <tools></tools> XML tags:\n<tools>" }}
    {%- for tool in tools %}
        {{- "\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\n</tools>\n\nFor each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call><|im_end|>\n" }}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}
    {%- else %}
        {{- '<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}
            {{- '\n' + message.content }}
        {%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- '\n<tool_call>\n{"name": "' }}
            {{- tool_call.name }}
            {{- '", "arguments": ' }}
            {{- tool_call.arguments | tojson }}
            {{- '}\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\n<tool_response>\n' }}
        {{- message.content }}
        {{- '\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
"""
QWEN3 = r"""{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\n\n' }}
    {%- endif %}
    {{- "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function signatures within <tools></tools> XML tags:\n<tools>" }}
    {%- for tool in tools %}
        {{- "\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- "\n</tools>\n\nFor each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call><|im_end|>\n" }}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {%- if loop.last or (not loop.last and reasoning_content) %}
                {{- '<|im_start|>' + message.role + '\n<think>\n' + reasoning_content.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') }}
            {%- else %}
                {{- '<|im_start|>' + message.role + '\n' + content }}
            {%- endif %}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}
                    {{- '\n' }}
                {%- endif %}
                {%- if tool_call.function %}
                    {%- set tool_call = tool_call.function %}
                {%- endif %}
                {{- '<tool_call>\n{"name": "' }}
                {{- tool_call.name }}
                {{- '", "arguments": ' }}
                {%- if tool_call.arguments is string %}
                    {{- tool_call.arguments }}
                {%- else %}
                    {{- tool_call.arguments | tojson }}
                {%- endif %}
                {{- '}\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\n<tool_response>\n' }}
        {{- content }}
        {{- '\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}"""
LLAMA2 = ("{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = "
          "messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}"
          "{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
          "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
          "{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + "
          "'\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}"
          "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
          "{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}")
CODELLAMA = LLAMA2.replace("{{ bos_token + '[INST] ' + content.strip()", "{{ bos_token + '[INST] ' + content | trim").replace(
    "{{ ' '  + content.strip() +", "{{ ' '  + content | trim +")
MISTRAL01 = ("{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
             "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
             "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
             "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token + ' ' }}"
             "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}")
MISTRAL03 = r"""{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}

{#- This block checks for alternating user/assistant messages, skipping tool calling messages #}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.role == "tool_results" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("After the optional system message, conversation roles must alternate user/assistant/user/assistant/...") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}

{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}
                        {{- ", " }}
                    {%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}
                    {{- ", " }}
                {%- else %}
                    {{- "]" }}
                {%- endif %}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
            {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\n\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[TOOL_CALLS] [" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function|tojson %}
            {{- out[:-1] }}
            {%- if not tool_call.id is defined or tool_call.id|length != 9 %}
                {{- raise_exception("Tool call IDs should be alphanumeric strings with length 9!") }}
            {%- endif %}
            {{- ', "id": "' + tool_call.id + '"}' }}
            {%- if not loop.last %}
                {{- ", " }}
            {%- else %}
                {{- "]" + eos_token }}
            {%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- elif message["role"] == "tool_results" or message["role"] == "tool" %}
        {%- if message.content is defined and message.content.content is defined %}
            {%- set content = message.content.content %}
        {%- else %}
            {%- set content = message.content %}
        {%- endif %}
        {{- '[TOOL_RESULTS] {"content": ' + content|string + ", " }}
        {%- if not message.tool_call_id is defined or message.tool_call_id|length != 9 %}
            {{- raise_exception("Tool call IDs should be alphanumeric strings with length 9!") }}
        {%- endif %}
        {{- '"call_id": "' + message.tool_call_id + '"}[/TOOL_RESULTS]' }}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported, with the exception of an initial optional system message!") }}
    {%- endif %}
{%- endfor %}
"""
LLAMA3 = ("{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + "
          "message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}"
          "{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}"
          "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}")
LLAMA32 = r"""{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not tools_in_user_message is defined %}
    {%- set tools_in_user_message = true %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}

{#- This block extracts the system message, so we can slot it into the right place. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}

{#- System message #}
{{- "<|start_header_id|>system<|end_header_id|>\n\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\n" }}
{%- endif %}
{{- "Cutting Knowledge Date: December 2023\n" }}
{{- "Today Date: " + date_string + "\n\n" }}
{%- if tools is not none and not tools_in_user_message %}
    {{- "You have access to the following functions. To call a function, please respond with JSON for a function call." }}
    {{- 'Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.' }}
    {{- "Do not use variables.\n\n" }}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\n\n" }}
    {%- endfor %}
{%- endif %}
{{- system_message }}
{{- "<|eot_id|>" }}

{#- Custom tools are passed in a user message with some extra guidance #}
{%- if tools_in_user_message and not tools is none %}
    {#- Extract the first user message so we can plug it in here #}
    {%- if messages | length != 0 %}
        {%- set first_user_message = messages[0]['content']|trim %}
        {%- set messages = messages[1:] %}
    {%- else %}
        {{- raise_exception("Cannot put tools in the first user message when there's no first user message!") }}
{%- endif %}
    {{- '<|start_header_id|>user<|end_header_id|>\n\n' -}}
    {{- "Given the following functions, please respond with a JSON for a function call " }}
    {{- "with its proper arguments that best answers the given prompt.\n\n" }}
    {{- 'Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.' }}
    {{- "Do not use variables.\n\n" }}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\n\n" }}
    {%- endfor %}
    {{- first_user_message + "<|eot_id|>"}}
{%- endif %}

{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("This model only supports single tool-calls at once!") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' -}}
        {{- '{"name": "' + tool_call.name + '", ' }}
        {{- '"parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}" }}
        {{- "<|eot_id|>" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\n\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
"""
# Llama 3.1: built-in tools, and a fixed date
LLAMA31 = LLAMA32.replace("""    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
""", """    {%- set date_string = "26 Jul 2024" %}
""").replace("""{%- if tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
""", """{%- if builtin_tools is defined or tools is not none %}
    {{- "Environment: ipython\\n" }}
{%- endif %}
{%- if builtin_tools is defined %}
    {{- "Tools: " + builtin_tools | reject('equalto', 'code_interpreter') | join(", ") + "\\n\\n"}}
{%- endif %}
""").replace("""        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
        {{- '{"name": "' + tool_call.name""", """        {%- if builtin_tools is defined and tool_call.name in builtin_tools %}
            {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
            {{- "<|python_tag|>" + tool_call.name + ".call(" }}
            {%- for arg_name, arg_val in tool_call.arguments | items %}
                {{- arg_name + '="' + arg_val + '"' }}
                {%- if not loop.last %}
                    {{- ", " }}
                {%- endif %}
                {%- endfor %}
            {{- ")" }}
        {%- endif  %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
        {{- '{"name": "' + tool_call.name""")
ZEPHYR = """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""
SMOLLM2 = ("{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
           "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}"
           "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
           "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
PHI3 = ("{% for message in messages %}{% if message['role'] == 'system' %}{{'<|system|>\n' + message['content'] + '<|end|>\n'}}"
        "{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == "
        "'assistant' %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endif %}{% endfor %}{% if "
        "add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}")
PHI3_OLD = ("{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') %}{{'<|user|>' + '\n' + "
            "message['content'] + '<|end|>' + '\n' + '<|assistant|>' + '\n'}}{% elif (message['role'] == 'assistant') %}"
            "{{message['content'] + '<|end|>' + '\n'}}{% endif %}{% endfor %}")
PHI2 = ("{% for message in messages %}{{ 'Instruct: ' if message.role == 'user' else 'Output: ' if message.role == 'assistant' "
        "else '' }}{{ message.content }}{{ '\n' }}{% endfor %}{% if add_generation_prompt %}Output:{% endif %}")
GEMMA = ("{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
         "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception("
         "'Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if (message['role'] == "
         "'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role "
         "+ '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}"
         "{{'<start_of_turn>model\n'}}{% endif %}")
DEEPSEEK = ("{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set ns = "
            "namespace(is_first=false, is_tool=false, is_output_first=true, system_prompt='') %}{%- for message in messages %}"
            "{%- if message['role'] == 'system' %}{% set ns.system_prompt = message['content'] %}{%- endif %}{%- endfor %}"
            "{{bos_token}}{{ns.system_prompt}}{%- for message in messages %}{%- if message['role'] == 'user' %}{%- set ns.is_tool "
            "= false -%}{{'<｜User｜>' + message['content']}}{%- endif %}{%- if message['role'] == 'assistant' and "
            "message['content'] is not none %}{% set content = message['content'] %}{% if '</think>' in content %}{% set content "
            "= content.split('</think>')[-1] %}{% endif %}{{'<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>'}}{%- endif %}"
            "{%- endfor -%}{% if add_generation_prompt and not ns.is_tool %}{{'<｜Assistant｜>'}}{% endif %}")
GRANITE = """{%- macro render(message, prefix='<|', suffix='|>') %}
    {{- prefix ~ message.role ~ suffix }}
    {%- if message.content is string %}{{ message.content }}{% else %}
    {%- for part in message.content or [] %}{{ part.text if part.type == 'text' else '[' ~ part.type ~ ']' }}{% endfor %}
    {%- endif %}
{%- endmacro %}
{%- macro type_of(schema) -%}
    {%- if schema.type == 'object' -%}{
    {%- for name, inner in schema.properties | dictsort -%}
        {{ name }}: {{ type_of(inner) }}{% if name not in schema.required | default([]) %}?{% endif %}{{ ', ' if not loop.last }}
    {%- endfor -%}}
    {%- elif schema.type is sequence and schema.type is not string -%}{{ schema.type | join(' | ') }}
    {%- elif schema.type == 'array' -%}{{ type_of(schema['items'] or {'type': 'any'}) }}[]
    {%- else -%}{{ schema.type | default('any', true) }}
    {%- endif -%}
{%- endmacro -%}
{%- for tool in tools or [] %}
function {{ tool.function.name }}({{ type_of(tool.function.parameters) }});
{% endfor %}
{%- for message in messages %}
    {{- render(message) }}{{ render(message=message, suffix='>') | length }}
    {%- if loop.nextitem is defined and loop.nextitem.role == message.role %}{% continue %}{% endif %}
    {{- loop.cycle(' odd', ' even') }}
    {%- if loop.index >= 4 %}{% break %}{% endif %}
{% endfor %}"""
FEATURES = """{#- a comment -#}
{%- set ns = namespace(count=0, names=[]) %}
{%- for m in messages if m.role != 'system' %}
    {%- set ns.count = ns.count + 1 %}
    {%- set ns.names = ns.names + [m['role'] | upper] %}
  {{ loop.index }}/{{ loop.length }}: {{ m.role.split('s')[0] }}{{ '!' if loop.last else ',' }}
{%- else %}nobody
{%- endfor %}
count={{ ns.count }} names={{ ns.names | join('+') }} {{ messages | length > 1 and 'many' or 'one' }}
{{ messages[-1].role[:3] }} {{ messages[-1]['role'][::-1][:3] }} {{ (7 // 2) ~ '|' ~ (7 % 4) ~ '|' ~ (2 - 5) * 2 }}
{{ missing is defined }} {{ missing | default('none given') }} {{ bos_token is string and bos_token is not none }}
{% set long %}captured {{ eos_token }}{% endset %}{{ long | replace('captured', 'kept') | title }}
{%- for key, value in messages[0].items() %} {{ key }}={{ value | string | trim | length }}{% endfor %}
{{ {'a': [1, 2.5, true, none], 'b': "q\\"uote"} | tojson }} {{ 'x' in 'xyz' }} {{ 'user' not in ['system'] }}
{%- if not messages[0].role.startswith('Hi') or false %} no Hi {%- endif +%}
  end   
"""
GEMMA3 = """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '

' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '

' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Conversation roles must alternate user/assistant/user/assistant/...") }}
    {%- endif -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<start_of_turn>' + role + '
' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}
                {{ '<start_of_image>' }}
            {%- elif item['type'] == 'text' -%}
                {{ item['text'] | trim }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end_of_turn>
' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model
'}}
{%- endif -%}
"""
PHI4_MINI = ("{% for message in messages %}{% if message['role'] == 'system' and 'tools' in message and message['tools'] is not "
             "none %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|tool|>' + message['tools'] + '<|/tool|>' + "
             "'<|end|>' }}{% else %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endif %}{% endfor %}"
             "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}")
OLMO2 = ("{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}{{ '<|system|>\n' + message['content'] "
         "+ '\n' }}{% elif message['role'] == 'user' %}{{ '<|user|>\n' + message['content'] + '\n' }}{% elif message['role'] == "
         "'assistant' %}{% if not loop.last %}{{ '<|assistant|>\n'  + message['content'] + eos_token + '\n' }}{% else %}"
         "{{ '<|assistant|>\n'  + message['content'] + eos_token }}{% endif %}{% endif %}{% if loop.last and "
         "add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}{% endfor %}")
GRANITE3 = """{%- if tools %}
    {{- '<|start_of_role|>available_tools<|end_of_role|>
' }}
    {%- for tool in tools %}
    {{- tool | tojson(indent=4) }}
    {%- if not loop.last %}
        {{- '

' }}
    {%- endif %}
    {%- endfor %}
    {{- '<|end_of_text|>
' }}
{%- endif %}
{%- for message in messages %}
    {%- if message['role'] == 'system' %}
    {{- '<|start_of_role|>system<|end_of_role|>' + message['content'] + '<|end_of_text|>
' }}
    {%- elif message['role'] == 'user' %}
    {{- '<|start_of_role|>user<|end_of_role|>' + message['content'] + '<|end_of_text|>
' }}
    {%- elif message['role'] == 'assistant' %}
    {{- '<|start_of_role|>assistant<|end_of_role|>'  + message['content'] + '<|end_of_text|>
' }}
    {%- elif message['role'] == 'assistant_tool_call' %}
    {{- '<|start_of_role|>assistant<|end_of_role|><|tool_call|>' + message['content'] + '<|end_of_text|>
' }}
    {%- elif message['role'] == 'tool_response' %}
    {{- '<|start_of_role|>tool_response<|end_of_role|>' + message['content'] + '<|end_of_text|>
' }}
    {%- endif %}
    {%- if loop.last and add_generation_prompt %}
    {{- '<|start_of_role|>assistant<|end_of_role|>' }}
    {%- endif %}
{%- endfor %}"""
SMOLLM3 = """{# ───── defaults ───── #}
{%- if enable_thinking is not defined -%}
{%- set enable_thinking = true -%}
{%- endif -%}

{# ───── reasoning mode ───── #}
{%- if enable_thinking -%}
  {%- set reasoning_mode = "/think" -%}
{%- else -%}
  {%- set reasoning_mode = "/no_think" -%}
{%- endif -%}

{# ───── header (system message) ───── #}
{{- "<|im_start|>system\\n" -}}

{%- if messages[0].role == "system" -%}
  {%- set system_message = messages[0].content -%}
  {%- if "/no_think" in system_message -%}
    {%- set reasoning_mode = "/no_think" -%}
  {%- elif "/think" in system_message -%}
    {%- set reasoning_mode = "/think" -%}
  {%- endif -%}
  {%- set custom_instructions = system_message.replace("/no_think", "").replace("/think", "").rstrip() -%}
{%- endif -%}

{%- if "/system_override" in system_message -%}
  {{- custom_instructions.replace("/system_override", "").rstrip() -}}
  {{- "<|im_end|>\\n" -}}
{%- else -%}
  {{- "## Metadata\\n\\n" -}}
  {{- "Knowledge Cutoff Date: June 2025\\n" -}}
  {%- set today = strftime_now("%d %B %Y") -%}
  {{- "Today Date: " ~ today ~ "\\n" -}}
  {{- "Reasoning Mode: " + reasoning_mode + "\\n\\n" -}}
  
  {{- "## Custom Instructions\\n\\n" -}}
  {%- if custom_instructions -%}
    {{- custom_instructions + "\\n\\n" -}}
  {%- elif reasoning_mode == "/think" -%}
    {{- "You are a helpful AI assistant named SmolLM, trained by Hugging Face. Your role as an assistant involves thoroughly exploring questions through a systematic thinking process before providing the final precise and accurate solutions.\\n\\n" -}}
  {%- else -%}
    {{- "You are a helpful AI assistant named SmolLM, trained by Hugging Face.\\n\\n" -}}
  {%- endif -%}

  {%- if xml_tools or python_tools or tools -%}
    {{- "### Tools\\n\\n" -}}
    {%- if xml_tools or tools -%}
      {%- if tools -%}
        {%- set xml_tools = tools -%}
      {%- endif -%}
      {%- set ns = namespace(xml_tool_string="You may call one or more functions to assist with the user query.\\nYou are provided with function signatures within <tools></tools> XML tags:\\n\\n<tools>\\n") -%}
      {%- for tool in xml_tools[:] -%} {# The slicing makes sure that xml_tools is a list #}
        {%- set ns.xml_tool_string = ns.xml_tool_string ~ (tool | string) ~ "\\n" -%}
      {%- endfor -%}
      {%- set xml_tool_string = ns.xml_tool_string + "</tools>\\n\\nFor each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:\\n<tool_call>\\n{\\"name\\": <function-name>, \\"arguments\\": <args-json-object>}\\n</tool_call>" -%}
      {{- xml_tool_string -}}
    {%- endif -%}
    {%- if python_tools -%}
      {%- set ns = namespace(python_tool_string="When you send a message containing Python code between '<code>' and '</code>' tags, it will be executed in a stateful Jupyter notebook environment, and you will then be given the output to continued reasoning in an agentic loop.\\n\\nYou can use the following tools in your python code like regular functions:\\n<tools>\\n") -%}
      {%- for tool in python_tools[:] -%} {# The slicing makes sure that python_tools is a list #}
        {%- set ns.python_tool_string = ns.python_tool_string ~ (tool | string) ~ "\\n" -%}
      {%- endfor -%}
      {%- set python_tool_string = ns.python_tool_string + "</tools>\\n\\nThe state persists between code executions: so variables that you define in one step are still available thereafter." -%}
      {{- python_tool_string -}}
    {%- endif -%}
    {{- "\\n\\n" -}}
    {{- "<|im_end|>\\n" -}}
  {%- endif -%}
{%- endif -%}
{# ───── main loop ───── #}
{%- for message in messages -%}
    {%- set content = message.content if message.content is string else "" -%}
    {%- if message.role == "user" -%}
        {{ "<|im_start|>" + message.role + "\\n"  + content + "<|im_end|>\\n" }}
    {%- elif message.role == "assistant" -%}
        {% generation %}
        {%- if reasoning_mode == "/think" -%}
            {{ "<|im_start|>assistant\\n" + content.lstrip("\\n") + "<|im_end|>\\n" }}
        {%- else -%}
            {{ "<|im_start|>assistant\\n" + "<think>\\n\\n</think>\\n" + content.lstrip("\\n") + "<|im_end|>\\n" }}
        {%- endif -%}
        {% endgeneration %}
    {%- elif message.role == "tool" -%}
    {{ "<|im_start|>" + "user\\n"  + content + "<|im_end|>\\n" }}
    {%- endif -%}
{%- endfor -%}
{# ───── generation prompt ───── #}
{%- if add_generation_prompt -%}
    {%- if reasoning_mode == "/think" -%}
        {{ "<|im_start|>assistant\\n" }}
    {%- else -%}
        {{ "<|im_start|>assistant\\n" + "<think>\\n\\n</think>\\n"  }}
    {%- endif -%}
{%- endif -%}
"""
TEMPLATES = {"chatml": CHATML, "qwen1.5": QWEN15, "qwen1.5-old": QWEN15_OLD, "qwen2.5": QWEN25, "qwen3": QWEN3, "llama2": LLAMA2,
             "codellama": CODELLAMA, "mistral0.1": MISTRAL01, "mistral0.3": MISTRAL03, "llama3": LLAMA3, "llama3.1": LLAMA31,
             "llama3.2": LLAMA32, "zephyr": ZEPHYR, "smollm2": SMOLLM2, "phi3": PHI3, "phi3-old": PHI3_OLD, "phi2": PHI2,
             "gemma": GEMMA, "deepseek": DEEPSEEK, "granite-like": GRANITE, "features": FEATURES,
             "gemma3": GEMMA3, "phi4-mini": PHI4_MINI, "smollm3": SMOLLM3, "olmo2": OLMO2, "granite3": GRANITE3}

# One part of the language each; rendered with the first conversation.
SNIPPETS = r"""{{ 1 < 2 < 3 }} {{ 3 > 2 > 2 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' < 'b' <= 'b' }} {{ [1, 2] < [1, 3] }}
{{ -2 | abs }} {{ - 3 + 5 }} {{ 2 ** 3 ** 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 7.5 // 2 }} {{ 1 / 4 }} {{ 10 / 5 }} {{ 1e3 }} {{ 1.5e-7 }}
{{ 1e16 }} {{ 123456789012345680.0 }} {{ 0.1 + 0.2 }} {{ 1e15 }} {{ 100.0 }} {{ -0.0 }} {{ 1e-5 }} {{ 0.0001 }} {{ 3 | float }} {{ '2.5' | float }} {{ 'x' | float(7.0) }}
{{ '42' | int }} {{ ' -3 ' | int }} {{ '42.9' | int }} {{ 'x' | int }} {{ 'x' | int(5) }} {{ 3.99 | int }} {{ true | int }} {{ none | int }} {{ '+4' | int }}
{{ 2.5 | round }} {{ 3.5 | round }} {{ 42.55 | round(1) }} {{ 42.55 | round(1, 'floor') }} {{ 42.51 | round(1, 'ceil') }} {{ 7 | round }}
{{ (1, 2) }} {{ (1,) }} {{ () }} {{ [1, 'a', "it's", none, true, 2.0, [], {}] }} {{ {'a': {'b': "x\ny"}} }} {{ 1, 2 }} {{ 'tab\there' }} {{ ["tab\there\x00é\u200b'\""] }}
{{ 'abc'[1] }} {{ 'abc'[-1] }} {{ 'abc'[5] is defined }} {{ 'héllo'[1:3] }} {{ 'abcdef'[::2] }} {{ 'abcdef'[4:1:-1] }} {{ [1, 2, 3][-2:] }} {{ (1, 2, 3)[::-1] }} {{ 'abc'[:-10] }} {{ 'abc'[10:] }}
{{ 'a-b_c d' | title }} {{ "it's a dog's" | title }} {{ "they're".title() }} {{ 'hELLO wORLD' | capitalize }} {{ 'ÉCOLE' | lower }} {{ 'straße' | upper }} {{ '3rd (thing) [x]' | title }}
{{ '  a b  ' | trim }}| {{ 'xxaxx' | trim('x') }} {{ '  x '.lstrip() }}| {{ '\n\tx\u00a0'.strip() }}| {{ 'abcba'.strip('ab') }} {{ 'éaé'.strip('é') }} {{ 'aXbX'.rstrip('X') }}
{{ 'a,b,,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a b c'.split(' ', 1) }} {{ 'a b c'.split(maxsplit=1) }} {{ 'a.b.c'.rsplit('.', 1) }} {{ ' a b  c '.rsplit(None, 1) }} {{ ' a b  c '.split(None, 1) }} {{ 'a\nb\r\nc'.splitlines() }} {{ ''.split(',') }} {{ ''.split() }}
{{ 'abcabc'.find('c') }} {{ 'éab'.find('b') }} {{ 'abc'.find('x') }} {{ 'abcabc'.rfind('b') }} {{ 'abcabc'.count('bc') }} {{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'ab'.partition('x') }}
{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'bc')) }} {{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('bc') }} {{ 'aaa'.replace('a', 'b', 2) }} {{ '-'.join(['a', 'b']) }} {{ 'a1'.isalnum() }} {{ '12'.isdigit() }} {{ 'ab'.isalpha() }} {{ 'AB'.isupper() }} {{ ' '.isspace() }}
{{ 'aaaa' | replace('a', 'b') }} {{ 'aaaa' | replace('a', 'b', 2) }} {{ 12321 | replace(2, 'x') }} {{ 'a' * 3 }} {{ 3 * 'ab' }} {{ 'x' ~ 1 ~ none ~ true ~ missing }}
{{ [3, 1, 2] | sort }} {{ ['b', 'A', 'c'] | sort }} {{ ['b', 'A'] | sort(case_sensitive=true) }} {{ [1, 2] | sort(reverse=true) }} {{ messages | sort(attribute='role') | map(attribute='role') | list }}
{{ [1, 2, 3] | first }} {{ [1, 2, 3] | last }} {{ [] | first is defined }} {{ 'abc' | first }} {{ 'abc' | last }} {{ [1, 2] | sum }} {{ [1.5, 2] | sum(start=1) }}
{{ [1, 2, 3, 4] | select('odd') | list }} {{ [1, 2, 3] | reject('gt', 1) | list }} {{ [0, 1, '', 'x'] | select | list }} {{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ messages | rejectattr('role', 'in', ['user', 'system']) | map(attribute='role') | join(',') }} {{ [1, 2, 3] | select('divisibleby', 2) | list }}
{{ ['a', 'b'] | map('upper') | join(' ') }} {{ [{'x': 1}, {'y': 2}] | map(attribute='x', default='none') | list }} {{ [{'a': {'b': [7]}}] | map(attribute='a.b.0') | list }} {{ [[1, 2], [3]] | map('length') | list }} {{ ['a', 'b'] | map('replace', 'a', 'z') | list }}
{{ [1, 2, 2, 1, 'a', 'A'] | unique | list }} {{ [3, 1] | min }} {{ [3, 1] | max }} {{ ['b', 'A'] | min }} {{ [] | max is defined }} {{ [1, 2, 3] | reverse | list }} {{ 'abc' | reverse }} {{ 'ab' | list }} {{ {'b': 1, 'a': 2} | list }}
{{ {'b': 1, 'A': 2} | dictsort }} {{ {'b': 1, 'a': 2} | dictsort(by='value') }} {{ {'a': 1}.get('a') }} {{ {'a': 1}.get('b') }} {{ {'a': 1}.get('b', 3) }} {{ {'a': 1}.keys() | list }} {{ {'a': 1}.values() | list }} {{ {'a': 1} | items | list }} {{ dict(a=1, b='x') }} {{ dict({'a': 1}, b=2) }}
{{ {'items': 5}['items'] }} {{ {'items': 5}.items() | list }} {{ 'items' in {'items': 5} }} {{ {'a': 1} == {'a': 1.0} }} {{ {'a': 1, 'b': 2} == {'b': 2, 'a': 1} }} {{ [1, 2] == (1, 2) }} {{ none == false }} {{ missing == other_missing }} {{ missing == none }}
{{ {'z': 1, 'a': [1, {'b': "é\"\\\n\x7f"}], 'n': none, 't': true, 'f': 1.0} | tojson }} {{ {'z': 1, 'a': "é🙂"} | tojson(sort_keys=true, ensure_ascii=true) }} {{ [] | tojson(indent=2) }} {{ [1, 2] | tojson(separators=(',', ':')) }}
{{ {'a': [1, {'b': []}], 'c': {}} | tojson(indent=2) }} {{ [1, [2]] | tojson(indent='\t') }} {{ 'x' | tojson }} {{ 1.5 | tojson }} {{ "</script>&'" | tojson }}
{{ 'a\nb\n\nc' | indent }} {{ 'a\nb' | indent(2, true) }} {{ 'a\n\nb' | indent(2, blank=true) }} {{ 'a\nb' | indent('> ', first=true) }} {{ '' | indent(2, true) }}|
{{ '<a href="x">&\'' | e }} {{ 'x' | safe }} {{ 5 | string + '!' }} {{ [1, 2] | string }} {{ [1, 2] | join }} {{ [1, 'a', none] | join(', ') }} {{ 'abc' | join('.') }} {{ messages | join('|', attribute='role') }}
{{ missing | default('d') }} {{ '' | default('d') }} {{ '' | default('d', true) }} {{ none | default('d') }} {{ none | d('d', boolean=true) }} {{ missing | length }} {{ missing | list }} {{ missing | join }} {{ missing | upper }}| {{ missing or 'or' }} {{ missing and 'and' }}| {{ not missing }}
{{ 1 is number }} {{ true is number }} {{ true is integer }} {{ 1 is integer }} {{ 1.0 is float }} {{ 'a' is string }} {{ [] is sequence }} {{ {} is mapping }} {{ {} is sequence }} {{ 'a' is iterable }} {{ 5 is iterable }} {{ missing is iterable }} {{ missing is sequence }} {{ missing is none }} {{ none is none }} {{ none is defined }}
{{ 4 is even }} {{ 4 is odd }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} {{ 1 is eq 1 }} {{ 1 is ne(2) }} {{ 2 is gt 1 }} {{ 2 is le(1) }} {{ 'a' is in ['a'] }} {{ 'a' is in 'abc' }} {{ true is true }} {{ 1 is true }} {{ false is false }} {{ 0 is false }} {{ true is boolean }} {{ 1 is sameas 1 }} {{ true is sameas 1 }} {{ 'AB' is upper }} {{ 'ab' is lower }} {{ range is callable }} {{ 'x' is not string }} {{ strftime_now is defined }} {{ loop is defined }}
{{ none.a is defined }} {{ 'abc'.upper is defined }} {{ messages.append is defined }} {{ messages.0.role }} {{ messages[0]['nope'] is defined }} {{ messages[100] is defined }} {{ {}.x is defined }} {{ 'a'.b is defined }} {{ none['x'] is defined }}
{% for a in [] %}x{% else %}empty{% endfor %} {% for c in 'héy' %}{{ c }}.{% endfor %} {% for k in {'a': 1, 'b': 2} %}{{ k }}{% endfor %} {% for x in missing %}x{% else %}none{% endfor %}
{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %} {{ range(3) | list }} {{ range(5, 1, -2) | list }} {{ range(2, 4) | list }}
{% for (a, b) in [(1, 2), (3, 4)] %}{{ a + b }} {% endfor %}{% for a, b in {'x': 1}.items() %}{{ a }}{{ b }}{% endfor %} {% for x in [1, 2, 3, 4] if x is even %}{{ loop.index }}:{{ x }}:{{ loop.last }}:{{ loop.length }} {% endfor %}
{% for x in 'abc' %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.previtem | default('-') }}{{ loop.nextitem | default('-') }}{{ loop.cycle('o', 'e') }} {% endfor %}
{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = x + i %}{{ x }}{% endfor %}{{ x }} {% if true %}{% set y = 5 %}{% endif %}{{ y }} {% set a, b = 1, 2 %}{{ a }}{{ b }} {% set t = 1, 2 %}{{ t }} {% set (p, q) = 'xy' %}{{ q }}{{ p }}
{% set ns = namespace(a=1) %}{% for i in [1, 2] %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }} {{ ns.nope is defined }} {% set other = ns %}{% set other.a = 9 %}{{ ns.a }} {% set m = namespace({'k': 1}, l=2) %}{{ m.k }}{{ m['l'] }}
{% macro f(a, b=2, c=none) %}[{{ a }},{{ b }},{{ c is none }}]{% endmacro %}{{ f(1) }}{{ f(1, 3) }}{{ f(b=1, a=2) }}{{ f() }}{{ f(1, 2, 3) }} {% set r = f('x') %}{{ r | upper }} {% macro g(n) %}{{ n }}{% if n > 0 %}{{ g(n - 1) }}{% endif %}{% endmacro %}{{ g(3) }}
{% set v = 'outer' %}{% macro h() %}{{ v }}{% set v = 'inner' %}{{ v }}{% endmacro %}{{ h() }}{{ v }} {% macro k(x, y=x) %}{{ y }}{% endmacro %}{{ k('dflt') }}
{% with a = 1, b = 2 %}{{ a + b }}{% set a = 5 %}{{ a }}{% endwith %}{{ a is defined }} {% filter upper %}shout {{ 'this' }}{% endfilter %} {% set c | trim | upper %}  x {% endset %}{{ c }}|
{% raw %}{{ not }} {% if %}{% endraw %} {%- raw -%}   kept {{ x }}   {%- endraw -%} end {# comment {{ x }} #}|{#- c -#}|{{- ' a ' -}} x
{{ 'a' if false }}| {{ 'a' if true else 'b' if false else 'c' }} {{ ('a' if false else 'b') ~ 'c' }} {{ 'x' if missing is defined else 'y' }} {{ (1 if 0 else 2) + 1 }} {{ not 1 == 2 }} {{ not true or true }} {{ 1 in [1] and 2 not in [1] }} {{ 'a' in 'b' or 'c' }}
{{ "a" "b" 'c' }} {{ 'it\'s' }} {{ "\x41\u00e9\U0001F642\101" }} {{ 'a\qb' }} {{ "new\
line" }} {{ '{{ }} %}' }} {{ {'a': {'b': {'c': 1}}} }} {{ {'a': 1}['a'] }} {{ [[1, [2]]][0][1][0] }} {{ {} }}
a   {%- if true %} b {%- endif %}   c {%+ if true +%}
 d {% endif %}
  {% if true %}
 x
  {% endif %}
	{# alone #}
  {{ 'y' }}  
z{% if false %}{% elif true %}elif{% else %}{% endif %}
{{ strftime_now('%Y-%m-%d %H:%M') }} {% generation %}marked {{ 1 }}{% endgeneration %} {{ messages | map(attribute='role') | first }} {{ (messages | selectattr('role', 'equalto', 'nobody') | list) == [] }} {{ 'yes' if messages | selectattr('role', 'equalto', 'nobody') else 'no' }}
{{ [1, 2].index(2) }} {{ [1, 2, 1].count(1) }} {{ 'x' in ('x', 'y') }} {{ ('a', 'b') + ('c',) }} {{ [1] + [2] }} {{ tools is none }} {{ documents is none }} {{ add_generation_prompt is defined }} {{ true and 5 }} {{ 0 or none }} {{ '' or [] }} {{ 1 and 0 }}"""

# Templates that Jinja refuses, while loading or rendering.
FAULTY = [
    "{{ missing.member }}", "{{ missing + 1 }}", "{{ missing() }}", "{{ none() }}", "{{ 1 / 0 }}", "{{ 1 % 0 }}", "{{ 'a' + 1 }}",
    "{{ 'a' < 1 }}", "{{ 1 in 'abc' }}", "{{ 1 in 5 }}", "{{ [1].append(2) }}", "{{ {'a': 1}.update({}) }}", "{{ 5 | length }}",
    "{% for x in 5 %}{% endfor %}", "{% for x in none %}{% endfor %}", "{% for a, b in [1] %}{% endfor %}", "{% set a, b = [1] %}",
    "{% set nope.x = 1 %}", "{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}", "{% macro f(a) %}{% endmacro %}{{ f(b=2) }}",
    "{{ 'x' | tojson(nope=1) }}", "{{ missing | tojson }}", "{{ range(0, 5, 0) }}", "{{ range(1000000) }}", "{{ 'a'.split('') }}",
    "{{ [1, 'a'] | sort }}", "{{ '' | default(1, 2, 3) }}", "{{ messages | selectattr('role', 'equalto', 'x') | length }}",
    "{{ missing[1:] }}", "{% set n = none %}{{ n[1:] }}", "{{ 'a'.join([1]) }}", "{{ messages[0].role() }}", "{{ none | upper | items | list }}",
    "{% if %}{% endif %}", "{% if true %}", "{% endif %}", "{% for x in %}{% endfor %}", "{{ }}", "{{ 1 + }}", "{{ (1 }}", "{{ 'x }}",
    "{{ [1, 2 }}", "{{ {'a' 1} }}", "{% set = 1 %}", "{{ a b }}", "{# open", "{% raw %}x", "{{ x is }}", "{{ x | }}", "{{ 1 is 2 }}",
    "{% break %}", "{{ f(a=1, 2) }}", "{% macro f( %}{% endmacro %}", "{{ ) }}", "{% else %}", "{{ x.  }}", "{{ 'a' 1 }}",
    "{{ x is string is string }}", "{{ ]] }}", "{% unknown %}"]

TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Weather of a \"place\"", "parameters": {
    "type": "object", "properties": {"place": {"type": "string", "description": "Città 🙂"}, "days": {
        "type": ["integer", "null"]}, "list": {"type": "array", "items": {"type": "number"}}}, "required": ["place"]}}},
    {"type": "function", "function": {"name": "stop", "parameters": {"type": "object", "properties": {}}}}]
CALL = {"role": "assistant", "content": "", "tool_calls": [
    {"id": "abcdefghi", "type": "function", "function": {"name": "get_weather", "arguments": {"place": "Rom <&>", "days": "2"}}}]}


def conversations():
    def turn(role, content):
        return {"role": role, "content": content}
    yield [turn("user", "Hi there")]
    yield [turn("system", " Be brief. "), turn("user", "  Tell me about MPI.\n")]
    yield [turn("user", "A"), turn("assistant", " B "), turn("user", "<C> & \"D\" 🙂")]
    yield [turn("system", "S"), turn("user", "1"), turn("assistant", "2"), turn("user", "3"), turn("assistant", "4"), turn("user", "5")]
    yield [turn("assistant", "out of turn")]
    yield [turn("user", "{{ 7 * 7 }} {% if x %} {# c #} }} \\n 'q' \"q\"\r\n\ttab\u00a0\u3000é e\u0301 \U0001F469\u200d\U0001F680 <|im_end|> [/INST] </s>"),
           turn("assistant", "<think>\nhm {}\n</think>\n\n\nA\n\nB  "), turn("user", "\n\n"), turn("assistant", "")]
    yield [turn("user", "1"), turn("user", "2"), turn("system", "late"), turn("wizard", "?")]


def all_variables():
    tokens = {"bos_token": "<s>", "eos_token": "</s>"}
    for messages in conversations():
        for prompt in (True, False):
            yield {"messages": messages, "add_generation_prompt": prompt, **tokens}
    user, answer = {"role": "user", "content": "Weather?"}, {"role": "tool", "content": "{\"t\": 20}", "tool_call_id": "abcdefghi"}
    for messages in ([user], [{"role": "system", "content": "S"}, user, CALL, answer],
                     [user, CALL, answer, dict(answer, content="second"), {"role": "assistant", "content": "Warm."}, user]):
        yield {"messages": messages, "add_generation_prompt": True, "tools": TOOLS, **tokens}
    yield {"messages": [user, CALL, answer], "add_generation_prompt": True, "tools": TOOLS, "tools_in_user_message": False,
           "builtin_tools": ["get_weather", "code_interpreter"], "enable_thinking": False, "date_string": "1 Jan 2030", **tokens}
    yield {"messages": [{"role": "user", "content": [{"type": "text", "text": "part"}, {"type": "image"}]}],
           "add_generation_prompt": True, "enable_thinking": False, **tokens}


def rendered(source, variables):
    """The text, or the error that Jinja raises."""
    try:
        compiled = chat_template_utils._compile_jinja_template(source)
        compiled.environment.globals["strftime_now"] = datetime.datetime(2026, 11, 24, 9, 5).strftime
        return compiled.render(**{"tools": None, "documents": None, **variables}), None
    except jinja2.exceptions.TemplateError as error:
        return None, error.message or type(error).__name__
    except Exception as error:
        return None, type(error).__name__


def main(folder):
    sources = dict(TEMPLATES)
    variables = list(all_variables())
    cases = []
    for name, source in TEMPLATES.items():
        for i, one in enumerate(variables):
            cases.append([name, i, *rendered(source, one)])
    for i, snippet in enumerate(SNIPPETS.replace("\\\nline", "\\\0line").split("\n")):
        snippet = snippet.replace("\0", "\n")
        if not snippet.startswith(("a   {%-", " ", "\t", "z{%")):
            sources[f"snippet {i}"] = snippet
    sources["white space"] = SNIPPETS[SNIPPETS.index("a   {%- if"):SNIPPETS.index("{{ strftime_now(")]
    sources["carriage returns"] = "a\r\n{% if true %}\r\nb\r{% endif %}\rc\r\n"
    sources["newline at end"] = "x\n\n"
    for name, source in sources.items():
        if name not in TEMPLATES:
            text, error = rendered(source, variables[2])
            assert error is None, (name, source, error)
            cases.append([name, 2, text, None])
    for source in FAULTY:
        assert rendered(source, variables[0])[0] is None, source
    content = {"templates": sources, "variables": variables, "cases": cases, "faulty": FAULTY}
    (folder / "chat_templates.json").write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
