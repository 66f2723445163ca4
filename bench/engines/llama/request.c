/* request: see the header. */
#include "bench/engines/llama/request.h"

#include <math.h>
#include <stddef.h>

/* A whole number from `least` to `most`; absent is `absent`. */
static bool take_count(const cJSON *root, const char *name, uint32_t least, uint32_t absent,
    uint32_t most, uint32_t *out_count)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, name);
    if (item == NULL) {
        *out_count = absent;
        return true;
    }
    double value = item->valuedouble;
    if (!cJSON_IsNumber(item) || !(value >= least && value <= most) || value != floor(value)) {
        return false;
    }
    *out_count = (uint32_t)value;
    return true;
}

static bool are_tokens(const cJSON *array, uint32_t vocabulary)
{
    const cJSON *item;
    if (!cJSON_IsArray(array) || array->child == NULL) {
        return false;
    }
    cJSON_ArrayForEach(item, array)
    {
        double value = item->valuedouble;
        if (!cJSON_IsNumber(item) || !(value >= 0 && value < vocabulary) || value != floor(value)) {
            return false;
        }
    }
    return true;
}

static const char *take_fields(uint32_t vocabulary, struct request *request)
{
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(request->root, "text");
    const cJSON *tokens = cJSON_GetObjectItemCaseSensitive(request->root, "tokens");
    if ((text == NULL) == (tokens == NULL)) {
        return "either \"text\" or \"tokens\" is wanted";
    }
    if (text != NULL && (!cJSON_IsString(text) || text->valuestring[0] == '\0')) {
        return "\"text\" is no text";
    }
    if (tokens != NULL && !are_tokens(tokens, vocabulary)) {
        return "\"tokens\" are no token ids of this model";
    }
    if (!take_count(request->root, "limit", 1, 0, INT32_MAX, &request->limit)) {
        return "\"limit\" is no number of tokens";
    }
    if (!take_count(
            request->root, "generate", 1, REQUEST_GENERATE, INT32_MAX, &request->generate)) {
        return "\"generate\" is no number of tokens";
    }
    request->text = text == NULL ? NULL : text->valuestring;
    request->tokens = tokens;
    return NULL;
}

const char *request_parse(const char *line, uint32_t vocabulary, struct request *out_request)
{
    struct request request = {.root = cJSON_Parse(line)};
    if (!cJSON_IsObject(request.root)) {
        cJSON_Delete(request.root);
        return "no JSON object";
    }
    const char *why = take_fields(vocabulary, &request);
    if (why != NULL) {
        request_drop(&request);
        return why;
    }
    *out_request = request;
    return NULL;
}

uint32_t request_tokens(const struct request *request, int32_t *out_tokens, uint32_t room)
{
    uint32_t count = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, request->tokens)
    {
        if (count == room || (request->limit > 0 && count == request->limit)) {
            break;
        }
        out_tokens[count++] = (int32_t)item->valuedouble;
    }
    return count;
}

void request_drop(struct request *request)
{
    cJSON_Delete(request->root);
    *request = (struct request){0};
}
