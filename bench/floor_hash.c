/* floor_hash: EVP with a template context, nothing around it. */
#include "bench/floor_hash.h"

#include "bench/clock.h"

#include <openssl/evp.h>
#include <stdio.h>

bool floor_hash_ns(
    const uint32_t *tokens, uint32_t block_tokens, size_t blocks, double *out_ns_per_block)
{
    EVP_MD *digest = EVP_MD_fetch(NULL, "SHA256", NULL);
    EVP_MD_CTX *template = EVP_MD_CTX_new();
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = digest != NULL && template != NULL && context != NULL &&
                EVP_DigestInit_ex2(template, digest, NULL) == 1;
    unsigned char key[32] = {0};
    int64_t start = clock_now_ns();
    for (size_t i = 0; good && i < blocks; i++) {
        unsigned length = sizeof key;
        good = EVP_MD_CTX_copy_ex(context, template) == 1 &&
               EVP_DigestUpdate(context, key, sizeof key) == 1 &&
               EVP_DigestUpdate(
                   context, tokens + i * block_tokens, block_tokens * sizeof tokens[0]) == 1 &&
               EVP_DigestFinal_ex(context, key, &length) == 1;
    }
    double ns = (double)(clock_now_ns() - start) / (double)blocks;
    EVP_MD_CTX_free(context);
    EVP_MD_CTX_free(template);
    EVP_MD_free(digest);
    if (!good) {
        fputs("cistern-bench: OpenSSL gives no SHA-256\n", stderr);
        return false;
    }
    *out_ns_per_block = ns;
    return true;
}
