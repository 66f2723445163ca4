/* snapshot: ordering 1 as a seqlock: a whole descriptor is read without a pin while the server puts
 * another block there. What comes back is one block's line, never a mixture. */
#include "tests/model/world.h"

static struct seat seats[1];

static void *reader(void *unused)
{
    struct slot_content content;
    uint64_t generation;
    if (slot_snapshot(&lines[0], &content, &generation)) {
        uint64_t number = content.key.word[0];
        assert(generation == (number == 1 ? 2 : 4));
        assert(number == 1 || number == 3);
        assert(content.key.word[1] == number && content.key.word[2] == number << 40);
        assert(content.key.word[3] == number);
        assert(content.offset == number * 100 && content.checksum == number * 10);
        assert(content.bytes == number && content.space == SPACE);
        assert(content.tier == SLOT_TIER_HOST && content.flags == SLOT_CHECKSUM);
        assert(content.size_class == number);
    }
    return unused;
}

static void publish_line(uint32_t number)
{
    struct slot_content content = {.key = key_of(number),
        .offset = number * 100,
        .checksum = number * 10,
        .bytes = number,
        .size_class = (uint8_t)number,
        .space = SPACE,
        .flags = SLOT_CHECKSUM};
    (void)slot_reserve(&lines[0], SLOT_LOADING);
    (void)slot_publish(&lines[0], &content);
}

static void *server(void *unused)
{
    uint8_t marks[SLOTS] = {PIN_NONE, PIN_NONE};
    retire(0, 1, seats, 1, marks);
    publish_line(3);
    return unused;
}

int main(void)
{
    pthread_t threads[2];
    seat_init(&seats[0], 1);
    publish_line(1);
    pthread_create(&threads[0], NULL, reader, NULL);
    pthread_create(&threads[1], NULL, server, NULL);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    return 0;
}
