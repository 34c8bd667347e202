/* SPDX-FileCopyrightText: The MuonTrap contributors
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/number.h"

bool number_id(const char *text, size_t size, unsigned long *id)
{
    unsigned long long value = 0;

    if (size == 0 || size > 10)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (unsigned long long)(text[i] - '0');
    }
    if (value >= 0xffffffffULL)
        return false;
    *id = (unsigned long)value;
    return true;
}
